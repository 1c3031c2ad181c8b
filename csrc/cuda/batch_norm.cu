// Batch norm per channel, y = (x - mean) a + beta with a = gamma rstd, optionally through ReLU.
// Training forward: one pass sums d and d^2, d = x - (first row of a thread's chunk of 64), so that
// nothing cancels (the squares exceed the chunk's own scatter at most 64 times); chunks are joined
// in double about the first pixel; then statistics per channel; then one pass writes y. 4 + 8 bytes
// per element. Backward: one pass sums g and g (x - mean), a second writes dx = a g + B (x - mean)
// + D; with ReLU, g = dy where the forward expression, evaluated again to the same bits, is above
// 0. 8 + 12 bytes. Given statistics: 8 bytes forward, 12 backward, its sums included.
#include "cuda/device/batch_norm.cuh"
#include "cuda/table.cuh"
#include "kernels/batch_norm.hpp"

namespace sentei::cuda {
namespace {

using std::int64_t;

constexpr int kStatisticsBatch = 8, kGradientBatch = 4, kMapBatch = 4;

// Sums of x - shift and (x - shift)^2 with the first pixel as the shift.
template <int V>
struct Statistics {
  static constexpr int kSums = 2;
  const float* x;

  __device__ Vec<V> column(const Columns& v, int64_t column) const {
    return channels<V>(v, column, x);
  }
  __device__ Vec<V> begin(int64_t i, int live) const { return cuda::load<V>(x + i, live); }
  __device__ Vec<V> load(int64_t i, int live) const { return cuda::load<V>(x + i, live); }
  __device__ void add(const Vec<V>&, const Vec<V>& first, const Vec<V>& raw, int64_t, int,
                      float (&s)[2][V]) const {
#pragma unroll
    for (int e = 0; e < V; ++e) {
      const float d = raw.v[e] - first.v[e];
      s[0][e] += d;
      s[1][e] = fmaf(d, d, s[1][e]);
    }
  }
  __device__ void end(const Vec<V>& shift, const Vec<V>& first, int rows, int live,
                      const float (&s)[2][V], double (&S)[2][V]) const {
#pragma unroll
    for (int e = 0; e < V; ++e)
      if (e < live) {  // others belong to columns that a short row lacks
        const double d = static_cast<double>(first.v[e]) - shift.v[e], sum = s[0][e], n = rows;
        S[0][e] += sum + n * d;
        S[1][e] += s[1][e] + d * (2 * sum + n * d);
      }
  }
};

struct FinishStatistics {
  int64_t rows;
  double eps, momentum;
  const float* x;
  float *running_mean, *running_var, *mean, *rstd;

  __device__ void operator()(int64_t c, const double (&S)[2]) const {
    const double n = static_cast<double>(rows), d = S[0] / n, raw = S[1] / n - d * d;
    const double var = raw < 0 ? 0 : raw, m = x[c] + d;
    mean[c] = static_cast<float>(m);
    rstd[c] = static_cast<float>(1.0 / sqrt(var + eps));
    running_mean[c] = static_cast<float>((1 - momentum) * running_mean[c] + momentum * m);
    running_var[c] = static_cast<float>((1 - momentum) * running_var[c] + momentum * var);
  }
};

template <int V>
struct Gradients {
  Vec<V> dy, x;
};

template <int V, bool Relu>
__device__ __forceinline__ float masked(const Affine<V>& f, const Gradients<V>& raw, int e) {
  return !Relu || f.value(raw.x.v[e], e) > 0.0f ? raw.dy.v[e] : 0.0f;
}

// Sums of g and g (x - mean); with Dx also writes dx = a g (statistics that do not follow x).
template <int V, bool Relu, bool Dx>
struct GradientSums {
  static constexpr int kSums = 2;
  struct None {};
  const float *dy, *x;
  float* dx;
  NormParameters parameters;

  __device__ Affine<V> column(const Columns& v, int64_t column) const {
    return Affine<V>::of(v, column, parameters);
  }
  __device__ None begin(int64_t, int) const { return {}; }
  __device__ Gradients<V> load(int64_t i, int live) const {
    return {cuda::load<V>(dy + i, live), cuda::load<V>(x + i, live)};
  }
  __device__ void add(const Affine<V>& f, None, const Gradients<V>& raw, int64_t i, int live,
                      float (&s)[2][V]) const {
    Vec<V> out;
#pragma unroll
    for (int e = 0; e < V; ++e) {
      const float g = masked<V, Relu>(f, raw, e);
      s[0][e] += g;
      s[1][e] = fmaf(g, raw.x.v[e] - f.mean.v[e], s[1][e]);
      out.v[e] = g * f.a.v[e];
    }
    if (Dx) cuda::store<V>(dx + i, out, live);
  }
  __device__ void end(const Affine<V>&, None, int, int live, const float (&s)[2][V],
                      double (&S)[2][V]) const {
#pragma unroll
    for (int e = 0; e < V; ++e)
      if (e < live) {
        S[0][e] += s[0][e];
        S[1][e] += s[1][e];
      }
  }
};

struct FinishGradient {
  int64_t rows;
  const float *gamma, *rstd, *var;  // rstd or var
  float eps;
  float *dgamma, *dbeta;
  float *B, *D;  // null with given statistics

  __device__ void operator()(int64_t c, const double (&S)[2]) const {
    const float r = rstd ? rstd[c] : rstd_of(var[c], eps);
    const double dg = S[1] * r, n = static_cast<double>(rows);
    dgamma[c] = static_cast<float>(dg);
    dbeta[c] = static_cast<float>(S[0]);
    if (!B) return;
    const double a = gamma[c] * r;
    B[c] = static_cast<float>(-a * r * dg / n);
    D[c] = static_cast<float>(-a * S[0] / n);
  }
};

// dx = a g + B (x - mean) + D
template <int V, bool Relu>
struct GradientApply {
  struct Column {
    Affine<V> f;
    Vec<V> B, D;
  };
  const float *dy, *x;
  float* dx;
  NormParameters parameters;
  const float *B, *D;

  __device__ Column column(const Columns& v, int64_t column) const {
    return {Affine<V>::of(v, column, parameters), channels<V>(v, column, B),
            channels<V>(v, column, D)};
  }
  __device__ Gradients<V> load(int64_t i, int live) const {
    return {cuda::load<V>(dy + i, live), cuda::load<V>(x + i, live)};
  }
  __device__ void store(const Column& k, const Gradients<V>& raw, int64_t i, int live) const {
    Vec<V> out;
#pragma unroll
    for (int e = 0; e < V; ++e)
      out.v[e] = fmaf(masked<V, Relu>(k.f, raw, e), k.f.a.v[e],
                      fmaf(raw.x.v[e] - k.f.mean.v[e], k.B.v[e], k.D.v[e]));
    cuda::store<V>(dx + i, out, live);
  }
};

// dx = a g
template <int V, bool Relu>
struct GradientInput {
  const float *dy, *x;
  float* dx;
  NormParameters parameters;

  __device__ Affine<V> column(const Columns& v, int64_t column) const {
    return Affine<V>::of(v, column, parameters);
  }
  __device__ Gradients<V> load(int64_t i, int live) const {
    return {cuda::load<V>(dy + i, live), Relu ? cuda::load<V>(x + i, live) : Vec<V>{}};
  }
  __device__ void store(const Affine<V>& f, const Gradients<V>& raw, int64_t i, int live) const {
    Vec<V> out;
#pragma unroll
    for (int e = 0; e < V; ++e) out.v[e] = masked<V, Relu>(f, raw, e) * f.a.v[e];
    cuda::store<V>(dx + i, out, live);
  }
};

// Partials, then B and D (C,) for the second pass of backward; B starts a 16-byte line, D too when
// C % 4 == 0.
int64_t doubles(int64_t rows, int64_t C) {
  const int64_t a = partial_doubles(rows, C, 2, kStatisticsBatch);
  const int64_t b = partial_doubles(rows, C, 2, kGradientBatch);
  return ceil_div(a > b ? a : b, 2) * 2;
}

std::size_t workspace_bytes(int64_t rows, int64_t C) {
  if (C == 0) return 0;
  return static_cast<std::size_t>(doubles(rows, C)) * sizeof(double) +
         static_cast<std::size_t>(2 * C) * sizeof(float);
}

template <int V>
void apply(int64_t rows, int64_t C, const float* x, float* y, const NormParameters& p, bool relu) {
  if (relu)
    map_columns<V, kMapBatch>("batch_norm_apply_relu_kernel", rows, C,
                              NormApply<V, ReluEpilogue>{x, y, p, {}});
  else
    map_columns<V, kMapBatch>("batch_norm_apply_kernel", rows, C,
                              NormApply<V, PlainEpilogue>{x, y, p, {}});
}

template <int V>
void statistics(int64_t rows, int64_t C, const float* x, double* partials,
                const FinishStatistics& finish) {
  reduce_columns<V, kStatisticsBatch>("batch_norm_statistics_kernel", rows, C, Statistics<V>{x},
                                      partials, "batch_norm_statistics_finish_kernel", finish);
}

void forward(int64_t rows, int64_t C, const float* x, const float* gamma, const float* beta,
             float* running_mean, float* running_var, float* y, float* mean, float* rstd,
             std::byte* workspace, double eps, double momentum, bool relu) {
  const NormParameters p{gamma, beta, mean, rstd, nullptr, 0};
  const bool wide = aligned_to_vectors(x, y);
  (wide ? statistics<4>
        : statistics<1>)(rows, C, x, reinterpret_cast<double*>(workspace),
                         {rows, eps, momentum, x, running_mean, running_var, mean, rstd});
  (wide ? apply<4> : apply<1>)(rows, C, x, y, p, relu);
}

void inference(int64_t rows, int64_t C, const float* x, const float* gamma, const float* beta,
               const float* mean, const float* var, float* y, std::byte*, double eps, bool relu) {
  const NormParameters p{gamma, beta, mean, nullptr, var, static_cast<float>(eps)};
  (aligned_to_vectors(x, y) ? apply<4> : apply<1>)(rows, C, x, y, p, relu);
}

template <int V, bool Relu, bool Dx>
void sums_as(int64_t rows, int64_t C, const float* dy, const float* x, float* dx,
             const NormParameters& p, double* partials, const FinishGradient& finish) {
  reduce_columns<V, kGradientBatch>("batch_norm_gradient_kernel", rows, C,
                                    GradientSums<V, Relu, Dx>{dy, x, dx, p}, partials,
                                    "batch_norm_gradient_finish_kernel", finish);
}

template <int V, bool Relu>
void backward_as(int64_t rows, int64_t C, const float* dy, const float* x, float* dx,
                 const NormParameters& p, double* partials, const FinishGradient& finish) {
  sums_as<V, Relu, false>(rows, C, dy, x, dx, p, partials, finish);
  map_columns<V, kMapBatch>("batch_norm_backward_kernel", rows, C,
                            GradientApply<V, Relu>{dy, x, dx, p, finish.B, finish.D});
}

void backward(int64_t rows, int64_t C, const float* dy, const float* x, const float* gamma,
              const float* mean, const float* rstd, const float* beta, float* dx, float* dgamma,
              float* dbeta, std::byte* workspace, bool relu) {
  double* partials = reinterpret_cast<double*>(workspace);
  float* B = reinterpret_cast<float*>(partials + doubles(rows, C));
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
  (wide   ? relu ? sums_as<4, true, true> : sums_as<4, false, true>
   : relu ? sums_as<1, true, true>
          : sums_as<1, false, true>)(rows, C, dy, x, dx, p, reinterpret_cast<double*>(workspace),
                                     finish);
}

template <int V, bool Relu>
void input_as(int64_t rows, int64_t C, const float* dy, const float* x, float* dx,
              const NormParameters& p) {
  map_columns<V, kMapBatch>("batch_norm_inference_backward_input_kernel", rows, C,
                            GradientInput<V, Relu>{dy, x, dx, p});
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
