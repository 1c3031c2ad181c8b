// Batch norm per channel, y = (x - mean) a + beta with a = gamma rstd, optionally through ReLU.
// Training forward: one pass sums d and d^2, d = x - (first row of a thread's chunk of 64), so that
// nothing cancels (the squares exceed the chunk's own scatter at most 64 times); chunks are joined
// in double about the first pixel; then statistics per channel; then one pass writes y. 4 + 8 bytes
// per element. Backward: one pass sums g and g (x - mean), a second writes dx = a g + B (x - mean)
// + D; with ReLU, g = dy where the forward expression, evaluated again to the same bits, is above
// 0. 8 + 12 bytes. Given statistics: 8 bytes forward, 12 backward, its sums included. A training
// step whose statistics are given (conv2d_statistics.cu) has the pass that writes y alone.
#include "cuda/device/batch_norm.cuh"
#include "cuda/table.cuh"
#include "kernels/batch_norm.hpp"

namespace sentei::cuda {
namespace {

using std::int64_t;

// dx = a g
template <int V, bool Relu>
struct GradientInput {
  using Gradient = DirectGradient<V, Relu>;
  Gradient gradient;  // x is null without Relu
  float* dx;
  NormParameters parameters;

  __device__ Affine<V> column(const Columns& v, int64_t column) const {
    return Affine<V>::of(v, column, parameters);
  }
  __device__ typename Gradient::Raw load(int64_t i, int live) const {
    if constexpr (Relu)
      return gradient.load(i, live);
    else
      return {cuda::load<V>(gradient.dy + i, live), {}};
  }
  __device__ void store(const Affine<V>& f, const typename Gradient::Raw& raw, int64_t i,
                        int live) const {
    Vec<V> out;
#pragma unroll
    for (int e = 0; e < V; ++e) out.v[e] = gradient.value(f, raw, e) * f.a.v[e];
    cuda::store<V>(dx + i, out, live);
  }
};

std::size_t workspace_bytes(int64_t rows, int64_t C) {
  return norm_workspace(C == 0 ? 0 : norm_doubles(rows, C), C);
}

template <int V, class Before = NothingBefore>
void apply(int64_t rows, int64_t C, const float* x, float* y, const NormParameters& p, bool relu,
           const Before& before) {
  if (relu)
    map_columns<V, kMapBatch>("batch_norm_apply_relu_kernel", rows, C,
                              NormApply<V, ReluEpilogue, Before>{x, y, p, {}, before});
  else
    map_columns<V, kMapBatch>("batch_norm_apply_kernel", rows, C,
                              NormApply<V, PlainEpilogue, Before>{x, y, p, {}, before});
}

void forward(int64_t rows, int64_t C, const float* x, const float* gamma, const float* beta,
             float* running_mean, float* running_var, float* y, float* mean, float* rstd,
             std::byte* workspace, double eps, double momentum, bool relu, const float* given_mean,
             const float* given_var) {
  const bool wide = aligned_to_vectors(x, y);
  if (given_mean) {
    const NormParameters p{gamma, beta, given_mean, nullptr, given_var, static_cast<float>(eps)};
    const FinishBefore finish{
        {given_mean, given_var, eps, momentum, running_mean, running_var, mean, rstd}};
    return (wide ? apply<4, FinishBefore> : apply<1, FinishBefore>)(rows, C, x, y, p, relu, finish);
  }
  const NormParameters p{gamma, beta, mean, rstd, nullptr, 0};
  batch_statistics(rows, C, x, reinterpret_cast<double*>(workspace),
                   FinishStatistics{rows, eps, momentum, x, running_mean, running_var, mean, rstd});
  (wide ? apply<4, NothingBefore> : apply<1, NothingBefore>)(rows, C, x, y, p, relu, {});
}

void inference(int64_t rows, int64_t C, const float* x, const float* gamma, const float* beta,
               const float* mean, const float* var, float* y, std::byte*, double eps, bool relu) {
  const NormParameters p{gamma, beta, mean, nullptr, var, static_cast<float>(eps)};
  const auto run = aligned_to_vectors(x, y) ? apply<4, NothingBefore> : apply<1, NothingBefore>;
  run(rows, C, x, y, p, relu, {});
}

template <int V, bool Relu>
void backward_as(int64_t rows, int64_t C, const float* dy, const float* x, float* dx,
                 const NormParameters& p, double* partials, const FinishGradient& finish) {
  const DirectGradient<V, Relu> gradient{dy, x};
  gradient_sums<V, Beside::nothing>(rows, C, gradient, nullptr, p, partials, finish);
  gradient_apply<V>(rows, C, gradient, dx, p, finish);
}

template <int V, bool Relu>
void frozen_as(int64_t rows, int64_t C, const float* dy, const float* x, float* dx,
               const NormParameters& p, double* partials, const FinishGradient& finish) {
  gradient_sums<V, Beside::dx>(rows, C, DirectGradient<V, Relu>{dy, x}, dx, p, partials, finish);
}

void backward(int64_t rows, int64_t C, const float* dy, const float* x, const float* gamma,
              const float* mean, const float* rstd, const float* beta, float* dx, float* dgamma,
              float* dbeta, std::byte* workspace, bool relu) {
  double* partials = reinterpret_cast<double*>(workspace);
  float* B = reinterpret_cast<float*>(partials + norm_doubles(rows, C));
  const NormParameters p{gamma, beta, mean, rstd, nullptr, 0};
  const FinishGradient finish{rows, gamma, rstd, nullptr, 0, dgamma, dbeta, B, B + C};
  const bool wide = aligned_to_vectors(dy, x, dx);
  (wide   ? relu ? backward_as<4, true> : backward_as<4, false>
   : relu ? backward_as<1, true>
          : backward_as<1, false>)(rows, C, dy, x, dx, p, partials, finish);
}

void inference_backward(int64_t rows, int64_t C, const float* dy, const float* x,
                        const float* gamma, const float* mean, const float* var, const float* beta,
                        float* dx, float* dgamma, float* dbeta, std::byte* workspace, double eps,
                        bool relu) {
  const float e = static_cast<float>(eps);
  const NormParameters p{gamma, beta, mean, nullptr, var, e};
  const FinishGradient finish{rows, gamma, nullptr, var, e, dgamma, dbeta, nullptr, nullptr};
  const bool wide = aligned_to_vectors(dy, x, dx);
  (wide ? relu ? frozen_as<4, true> : frozen_as<4, false>
   : relu
       ? frozen_as<1, true>
       : frozen_as<1, false>)(rows, C, dy, x, dx, p, reinterpret_cast<double*>(workspace), finish);
}

template <int V, bool Relu>
void input_as(int64_t rows, int64_t C, const float* dy, const float* x, float* dx,
              const NormParameters& p) {
  map_columns<V, kMapBatch>("batch_norm_inference_backward_input_kernel", rows, C,
                            GradientInput<V, Relu>{{dy, x}, dx, p});
}

void inference_backward_input(int64_t rows, int64_t C, const float* dy, const float* gamma,
                              const float* var, const float* x, const float* mean,
                              const float* beta, float* dx, std::byte*, double eps, bool relu) {
  const NormParameters p{gamma, beta, mean, nullptr, var, static_cast<float>(eps)};
  const bool wide = relu ? aligned_to_vectors(dy, x, dx) : aligned_to_vectors(dy, dx);
  (wide   ? relu ? input_as<4, true> : input_as<4, false>
   : relu ? input_as<1, true>
          : input_as<1, false>)(rows, C, dy, x, dx, p);
}

}  // namespace
}  // namespace sentei::cuda
SENTEI_CUDA_TABLE(BatchNormKernels, batch_norm_kernels, workspace_bytes, forward, backward,
                  inference, inference_backward, inference_backward_input)
