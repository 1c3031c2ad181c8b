// y = relu(batch_norm(x) + other). Forward: the statistics of x, then one pass over x and other: 4
// + 12 bytes per element. Backward: one pass masks dy by y > 0 into dother and sums g and g (x -
// mean), one writes dx from dother and x: 16 + 12 bytes. Order of sums as device/columns.cuh has
// it.
#include "cuda/device/batch_norm.cuh"
#include "cuda/table.cuh"
#include "kernels/batch_norm_add.hpp"

namespace sentei::cuda {
namespace {

using std::int64_t;

template <int V>
struct AddReluEpilogue {
  using Raw = Vec<V>;
  const float* other;
  __device__ Raw load(int64_t i, int live) const { return cuda::load<V>(other + i, live); }
  __device__ static float value(float u, const Raw& other, int e) {
    return ReluEpilogue::value(u + other.v[e], {}, e);
  }
};

// g = dy where y > 0
template <int V>
struct OutputGradient {
  struct Raw {
    Vec<V> dy, y, x;
  };
  const float *dy, *y, *x;

  __device__ Raw load(int64_t i, int live) const {
    return {cuda::load<V>(dy + i, live), cuda::load<V>(y + i, live), cuda::load<V>(x + i, live)};
  }
  __device__ static float x_of(const Raw& raw, int e) { return raw.x.v[e]; }
  __device__ static float value(const Affine<V>&, const Raw& raw, int e) {
    return raw.y.v[e] > 0.0f ? raw.dy.v[e] : 0.0f;
  }
};

constexpr int kOutputBatch = 2;  // of three tensors

std::size_t workspace_bytes(int64_t rows, int64_t C) {
  return norm_workspace(C == 0 ? 0 : norm_doubles(rows, C), C);
}

template <int V, class Before>
void apply(int64_t rows, int64_t C, const float* x, const float* other, float* y,
           const NormParameters& p, const Before& before) {
  map_columns<V, kMapBatch>("batch_norm_add_apply_kernel", rows, C,
                            NormApply<V, AddReluEpilogue<V>, Before>{x, y, p, {other}, before});
}

void forward(int64_t rows, int64_t C, const float* x, const float* other, const float* gamma,
             const float* beta, float* running_mean, float* running_var, float* y, float* mean,
             float* rstd, std::byte* workspace, double eps, double momentum,
             const float* given_mean, const float* given_var) {
  const bool wide = aligned_to_vectors(x, other, y);
  if (given_mean) {
    const NormParameters p{gamma, beta, given_mean, nullptr, given_var, static_cast<float>(eps)};
    const FinishBefore finish{
        {given_mean, given_var, eps, momentum, running_mean, running_var, mean, rstd}};
    const auto run = wide ? apply<4, FinishBefore> : apply<1, FinishBefore>;
    return run(rows, C, x, other, y, p, finish);
  }
  const NormParameters p{gamma, beta, mean, rstd, nullptr, 0};
  batch_statistics(rows, C, x, reinterpret_cast<double*>(workspace),
                   FinishStatistics{rows, eps, momentum, x, running_mean, running_var, mean, rstd});
  const auto run = wide ? apply<4, NothingBefore> : apply<1, NothingBefore>;
  run(rows, C, x, other, y, p, {});
}

template <int V>
void backward_as(int64_t rows, int64_t C, const float* dy, const float* y, const float* x,
                 float* dx, float* dother, const NormParameters& p, double* partials,
                 const FinishGradient& finish) {
  gradient_sums<V, Beside::g, kOutputBatch>(rows, C, OutputGradient<V>{dy, y, x}, dother, p,
                                            partials, finish);
  gradient_apply<V>(rows, C, DirectGradient<V, false>{dother, x}, dx, p, finish);
}

void backward(int64_t rows, int64_t C, const float* dy, const float* y, const float* x,
              const float* gamma, const float* mean, const float* rstd, float* dx, float* dother,
              float* dgamma, float* dbeta, std::byte* workspace) {
  double* partials = reinterpret_cast<double*>(workspace);
  float* B = reinterpret_cast<float*>(partials + norm_doubles(rows, C));
  const NormParameters p{gamma, nullptr, mean, rstd, nullptr, 0};
  const FinishGradient finish{rows, gamma, rstd, nullptr, 0, dgamma, dbeta, B, B + C};
  const auto run = aligned_to_vectors(dy, y, x, dx, dother) ? backward_as<4> : backward_as<1>;
  run(rows, C, dy, y, x, dx, dother, p, partials, finish);
}

}  // namespace
}  // namespace sentei::cuda
SENTEI_CUDA_TABLE(BatchNormAddKernels, batch_norm_add_kernels, workspace_bytes, forward, backward)
