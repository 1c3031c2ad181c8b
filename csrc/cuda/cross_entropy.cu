// Cross-entropy of logits with integer labels; formulas as in csrc/cpu/cross_entropy.cpp: with the
// largest logit m, softmax: log1p(sum of e without the largest) + m - z_label; sigmoid: log1p(exp)
// of every class with the sign turned at the label. A group of 8, 32 or 256 threads (by k) owns a
// row: its logits come from memory once (then from cache) and dlogits go once, 8 bytes per element.
// Row sums in double, threads in order, then a tree; the samples in double by 1024 threads, then a
// tree; hits are counted in integers. Up to 16 Ki logits one block does all in one launch,
// otherwise a second one adds the samples. Between the two a hit is the sign bit of its loss.
// A label out of range reads nothing: it makes its loss and its row of dlogits NaN.
#include "cuda/device/group_sum.cuh"
#include "cuda/table.cuh"
#include "kernels/cross_entropy.hpp"

namespace sentei::cuda {
namespace {

constexpr int kThreads = 256, kFinishThreads = 1024, kSingleThreads = 512;
constexpr std::int64_t kSingle = 16384;  // logits that one block takes

__device__ __forceinline__ float not_a_number() { return __uint_as_float(0x7fffffffu); }

struct Best {
  float value;
  std::int64_t index;
};

__device__ __forceinline__ Best better(const Best& a, const Best& b) {
  return b.value > a.value || (b.value == a.value && b.index < a.index) ? b : a;
}

// The largest logit, the first of equals.
template <int kLanes, int kBlock>
__device__ __forceinline__ Best group_best(Best b, Best* slots) {
#pragma unroll
  for (int m = (kLanes < 32 ? kLanes : 32) / 2; m > 0; m /= 2) {
    const float value = __shfl_xor_sync(~0u, b.value, m);
    const std::int64_t index = __shfl_xor_sync(~0u, b.index, m);
    b = better(b, {value, index});
  }
  if constexpr (kLanes > 32) {
    if (threadIdx.x % 32 == 0) slots[threadIdx.x / 32] = b;
    __syncthreads();
    b = slots[0];
    for (int i = 1; i < kBlock / 32; ++i) b = better(b, slots[i]);
    __syncthreads();
  }
  return b;
}

template <int kBlock>
__device__ __forceinline__ void finish(std::int64_t n, float* per_sample, bool mean, float* loss,
                                       std::int64_t* correct, double* slots, std::int64_t* counts) {
  double sum = 0;
  std::int64_t hits = 0;
  for (std::int64_t i = threadIdx.x; i < n; i += kBlock) {
    const unsigned bits = __float_as_uint(per_sample[i]);
    const float value = __uint_as_float(bits & 0x7fffffffu);
    hits += bits >> 31;
    per_sample[i] = value;
    sum += static_cast<double>(value);
  }
  sum = block_sum<kBlock>(sum, slots);
  hits = block_sum<kBlock>(hits, counts);
  if (threadIdx.x == 0) {
    *loss = static_cast<float>(mean && n ? sum / static_cast<double>(n) : sum);
    *correct = hits;
  }
}

__global__ void __launch_bounds__(kFinishThreads)
    cross_entropy_finish_kernel(std::int64_t n, float* per_sample, bool mean, float* loss,
                                std::int64_t* correct) {
  SENTEI_SHARED(double, slots, [kFinishThreads / 32]);
  SENTEI_SHARED(std::int64_t, counts, [kFinishThreads / 32]);
  finish<kFinishThreads>(n, per_sample, mean, loss, correct, slots, counts);
}

// kWhole: one block, which also finishes.
template <bool kSoftmax, int kLanes, int kBlock, bool kWhole>
__global__ void __launch_bounds__(kBlock)
    cross_entropy_forward_kernel(std::int64_t n, std::int64_t k, const float* logits,
                                 const std::int64_t* labels, bool mean, float* loss,
                                 float* per_sample, float* dlogits, std::int64_t* correct) {
  SENTEI_SHARED(double, slots, [kBlock / 32]);
  SENTEI_SHARED(Best, bests, [kBlock / 32]);
  SENTEI_SHARED(std::int64_t, counts, [kBlock / 32]);
  constexpr int kRows = kBlock / kLanes;
  const int lane = threadIdx.x % kLanes;
  const std::int64_t step = std::int64_t{gridDim.x} * kRows;
  for (std::int64_t first = std::int64_t{blockIdx.x} * kRows; first < n; first += step) {
    const std::int64_t row = first + threadIdx.x / kLanes;
    const bool here = row < n;
    const std::int64_t width = here ? k : 0;
    const float* z = logits + (here ? row * k : 0);
    float* d = dlogits + (here ? row * k : 0);
    const std::int64_t label = here ? labels[row] : -1;
    const bool known = label >= 0 && label < k;

    Best best{-INFINITY, k};
    for (std::int64_t j = lane; j < width; j += kLanes) {
      const float v = z[j];
      // A NaN counts as the least, so that all lanes agree; the loss becomes NaN all the same.
      if (v > best.value || best.index == k) best = {v == v ? v : -INFINITY, j};
    }
    best = group_best<kLanes, kBlock>(best, bests);

    double sum = 0;
    float value = not_a_number();
    if constexpr (kSoftmax) {
      // The largest term is exactly 1 (or NaN): left out, small losses stay precise.
      for (std::int64_t j = lane; j < width; j += kLanes)
        if (j != best.index) sum += static_cast<double>(expf(z[j] - best.value));
      sum = group_sum<kLanes, kBlock>(sum, slots);
      const double one = static_cast<double>(expf(best.value - best.value));
      double share = 1 / (one + sum), rest = 0;
      if (known) {
        const float top = best.value - z[label];
        value = static_cast<float>(log1p(sum + (one - 1))) + top;
        // 1 - p_label, without the difference when the label leads.
        rest = label == best.index ? sum : one + sum - static_cast<double>(expf(-top));
      } else {
        share = static_cast<double>(not_a_number());
      }
      const float factor = static_cast<float>(share);
      for (std::int64_t j = lane; j < width; j += kLanes)
        d[j] = j == label ? static_cast<float>(-rest * share) : expf(z[j] - best.value) * factor;
    } else {
      for (std::int64_t j = lane; j < width; j += kLanes) {
        const float v = z[j], u = j == label ? -v : v, e = expf(-fabsf(u));
        sum += static_cast<double>((u > 0 ? u : 0.0f) + log1pf(e));
        const float slope = (u > 0 ? 1.0f : e) / (1.0f + e);
        d[j] = !known ? not_a_number() : j == label ? -slope : slope;
      }
      sum = group_sum<kLanes, kBlock>(sum, slots);
      if (known) value = static_cast<float>(sum);
    }
    const unsigned hit = best.index == label && value == value ? 0x80000000u : 0u;
    const unsigned bits = (__float_as_uint(value) & 0x7fffffffu) | hit;  // losses are not negative
    if (here && lane == 0) per_sample[row] = __uint_as_float(bits);
  }
  if constexpr (kWhole) {
    __syncthreads();
    finish<kBlock>(n, per_sample, mean, loss, correct, slots, counts);
  }
}

template <bool kSoftmax>
void forward(std::int64_t n, std::int64_t k, const float* logits, const std::int64_t* labels,
             bool mean, float* loss, float* per_sample, float* dlogits, std::int64_t* correct) {
  const char* name =
      kSoftmax ? "softmax_cross_entropy_forward_kernel" : "sigmoid_cross_entropy_forward_kernel";
  const auto go = [&](auto* kernel, unsigned blocks, int threads) {
    launch(name, kernel, blocks, threads, 0, n, k, logits, labels, mean, loss, per_sample, dlogits,
           correct);
  };
  if (n * k <= kSingle) {
    if (k <= 32)
      go(cross_entropy_forward_kernel<kSoftmax, 8, kSingleThreads, true>, 1, kSingleThreads);
    else
      go(cross_entropy_forward_kernel<kSoftmax, 32, kSingleThreads, true>, 1, kSingleThreads);
    return;
  }
  const auto blocks = [&](int lanes) { return blocks_for(n, kThreads / lanes, 8192); };
  if (k <= 32)
    go(cross_entropy_forward_kernel<kSoftmax, 8, kThreads, false>, blocks(8), kThreads);
  else if (k <= 2048)
    go(cross_entropy_forward_kernel<kSoftmax, 32, kThreads, false>, blocks(32), kThreads);
  else
    go(cross_entropy_forward_kernel<kSoftmax, kThreads, kThreads, false>, blocks(kThreads),
       kThreads);
  launch("cross_entropy_finish_kernel", cross_entropy_finish_kernel, 1, kFinishThreads, 0, n,
         per_sample, mean, loss, correct);
}

}  // namespace
}  // namespace sentei::cuda
SENTEI_CUDA_TABLE(CrossEntropyKernels, cross_entropy_kernels, forward<true>, forward<false>)
