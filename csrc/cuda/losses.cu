// Losses on outputs y and targets t of one shape, summed over outputs per sample, their gradients,
// and the steps to the batch. A group of 8, 32 or 256 threads (by k) owns a sample: each element is
// computed in double, each thread adds up its own in order, then the group in a tree. 12 bytes
// moved per element, 16 at a time where rows are aligned. loss_reduce adds the samples in double:
// 1024 threads of one block in order, then a tree. loss_backward moves 8 bytes per element.
#include "cuda/device/group_sum.cuh"
#include "cuda/device/scalar_map.cuh"
#include "cuda/table.cuh"
#include "kernels/losses.hpp"

namespace sentei::cuda {
namespace {

using kernels::Loss;

constexpr int kThreads = 256, kReduceThreads = 1024;
constexpr double kLow = 1e-7, kHigh = 1 - 1e-7;  // probabilities before a logarithm

struct Term {
  double loss, grad;
};

__device__ __forceinline__ double positive(double d) { return d < 0 ? 0.0 : d; }  // NaN stays
__device__ __forceinline__ double sign(double d) { return d > 0 ? 1.0 : d < 0 ? -1.0 : 0.0; }

// log(1 + exp(u)) and its slope.
__device__ __forceinline__ Term softplus(double u) {
  const double e = exp(-fabs(u));
  return {positive(u) + log1p(e), u > 0 ? 1 / (1 + e) : e / (1 + e)};
}

template <Loss kKind>
__device__ __forceinline__ Term term(double y, double t, double a) {
  if constexpr (kKind == Loss::squared) {
    const double d = y - t;
    return {0.5 * d * d, d};
  } else if constexpr (kKind == Loss::binary_ce || kKind == Loss::categorical_ce) {
    const double c = y < kLow ? kLow : y > kHigh ? kHigh : y;
    const bool outside = y <= kLow || y >= kHigh;  // the slope there is 0
    if constexpr (kKind == Loss::categorical_ce)
      return {-t * log(c), outside ? 0.0 : -t / c};
    else
      return {-t * log(c) - (1 - t) * log1p(-c), outside ? 0.0 : (c - t) / (c * (1 - c))};
  } else if constexpr (kKind == Loss::binary_ce_logits) {
    // softplus(y) - t y, with the sign turned where t = 1 so that nothing large cancels.
    const Term s = softplus(t == 1 ? -y : y);
    return t == 1 ? Term{s.loss, -s.grad} : Term{s.loss - t * y, s.grad - t};
  } else if constexpr (kKind == Loss::logistic) {
    const Term s = softplus(-t * y);
    return {s.loss, -t * s.grad};
  } else if constexpr (kKind == Loss::exponential) {
    const double e = exp(-t * y);
    return {e, -t * e};
  } else if constexpr (kKind == Loss::hinge) {
    const double m = 1 - t * y;
    return {positive(m), m > 0 ? -t : 0.0};
  } else if constexpr (kKind == Loss::quantile) {
    const double d = y - t;
    return {d > 0 ? (1 - a) * d : -a * d, d > 0 ? 1 - a : d < 0 ? -a : 0.0};
  } else if constexpr (kKind == Loss::huber) {
    const double d = y - t, m = fabs(d);
    return {m <= a ? d * d : 2 * a * (m - 0.5 * a), m <= a ? 2 * d : 2 * a * sign(d)};
  } else {
    const double d = y - t, m = fabs(d) - a;
    return {positive(m), m > 0 ? sign(d) : 0.0};
  }
}

// grad may be y or t: each element is read before it is written.
template <Loss kKind, int kLanes>
__global__ void __launch_bounds__(kThreads)
    elementwise_loss_forward_kernel(std::int64_t n, std::int64_t k, std::int64_t vectors,
                                    const float* y, const float* t, double a, float* per_sample,
                                    float* grad) {
  SENTEI_SHARED(double, slots, [kThreads / 32]);
  constexpr int kRows = kThreads / kLanes;
  const int lane = threadIdx.x % kLanes;
  const std::int64_t step = std::int64_t{gridDim.x} * kRows;
  for (std::int64_t first = std::int64_t{blockIdx.x} * kRows; first < n; first += step) {
    const std::int64_t row = first + threadIdx.x / kLanes;
    double sum = 0;
    if (row < n) {
      const float *yr = y + row * k, *tr = t + row * k;
      float* gr = grad + row * k;
      const auto one = [&](float yv, float tv) {
        const Term e = term<kKind>(yv, tv, a);
        sum += e.loss;
        return static_cast<float>(e.grad);
      };
      for (std::int64_t j = lane; j < vectors; j += kLanes) {
        const float4 u = reinterpret_cast<const float4*>(yr)[j];
        const float4 v = reinterpret_cast<const float4*>(tr)[j];
        float4 g;
        g.x = one(u.x, v.x);
        g.y = one(u.y, v.y);
        g.z = one(u.z, v.z);
        g.w = one(u.w, v.w);
        reinterpret_cast<float4*>(gr)[j] = g;
      }
      for (std::int64_t j = 4 * vectors + lane; j < k; j += kLanes) gr[j] = one(yr[j], tr[j]);
    }
    sum = group_sum<kLanes, kThreads>(sum, slots);
    if (lane == 0 && row < n) per_sample[row] = static_cast<float>(sum);
  }
}

__global__ void __launch_bounds__(kReduceThreads)
    loss_reduce_kernel(std::int64_t n, const float* per_sample, bool mean, float* loss) {
  SENTEI_SHARED(double, slots, [kReduceThreads / 32]);
  double sum = 0;
  for (std::int64_t i = threadIdx.x; i < n; i += kReduceThreads)
    sum += static_cast<double>(per_sample[i]);
  sum = block_sum<kReduceThreads>(sum, slots);
  if (threadIdx.x == 0) *loss = static_cast<float>(mean && n ? sum / static_cast<double>(n) : sum);
}

template <Loss kKind>
void run(std::int64_t n, std::int64_t k, const float* y, const float* t, double a,
         float* per_sample, float* grad) {
  const char* name = "elementwise_loss_forward_kernel";
  const bool wide = k % 4 == 0 && aligned16(y) && aligned16(t) && aligned16(grad);
  const std::int64_t vectors = wide ? k / 4 : 0;
  const auto go = [&](auto* kernel, int lanes) {
    launch(name, kernel, blocks_for(n, kThreads / lanes, 8192), kThreads, 0, n, k, vectors, y, t, a,
           per_sample, grad);
  };
  if (k <= 32)
    go(elementwise_loss_forward_kernel<kKind, 8>, 8);
  else if (k <= 2048)
    go(elementwise_loss_forward_kernel<kKind, 32>, 32);
  else
    go(elementwise_loss_forward_kernel<kKind, kThreads>, kThreads);
}

void forward(Loss kind, std::int64_t n, std::int64_t k, const float* y, const float* t, double a,
             float* per_sample, float* grad) {
  switch (kind) {
    case Loss::squared:
      return run<Loss::squared>(n, k, y, t, a, per_sample, grad);
    case Loss::binary_ce:
      return run<Loss::binary_ce>(n, k, y, t, a, per_sample, grad);
    case Loss::binary_ce_logits:
      return run<Loss::binary_ce_logits>(n, k, y, t, a, per_sample, grad);
    case Loss::categorical_ce:
      return run<Loss::categorical_ce>(n, k, y, t, a, per_sample, grad);
    case Loss::logistic:
      return run<Loss::logistic>(n, k, y, t, a, per_sample, grad);
    case Loss::exponential:
      return run<Loss::exponential>(n, k, y, t, a, per_sample, grad);
    case Loss::hinge:
      return run<Loss::hinge>(n, k, y, t, a, per_sample, grad);
    case Loss::quantile:
      return run<Loss::quantile>(n, k, y, t, a, per_sample, grad);
    case Loss::huber:
      return run<Loss::huber>(n, k, y, t, a, per_sample, grad);
    case Loss::eps_insensitive:
      return run<Loss::eps_insensitive>(n, k, y, t, a, per_sample, grad);
  }
}

void reduce(std::int64_t n, const float* per_sample, bool mean, float* loss) {
  launch("loss_reduce_kernel", loss_reduce_kernel, 1, kReduceThreads, 0, n, per_sample, mean, loss);
}

struct Multiply {
  float factor;
  __device__ float operator()(float x) const { return x * factor; }
};
struct MakeMultiply {
  const float* dloss;
  float divisor;
  __device__ Multiply operator()() const { return {*dloss / divisor}; }
};

void scale(std::int64_t n, const float* x, const float* dloss, float divisor, float* y) {
  scalar_map("loss_backward_kernel", n, y, MakeMultiply{dloss, divisor}, x);
}

}  // namespace
}  // namespace sentei::cuda
SENTEI_CUDA_TABLE(LossKernels, loss_kernels, forward, reduce, scale)
