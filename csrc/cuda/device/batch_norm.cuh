// The passes of batch norm as pieces, for it and for what is fused with it: statistics, the affine
// map y = (x - mean) a + beta with a = gamma rstd and what may follow it in the same pass, sums of
// gradients, dx. Every kernel evaluates the map by the same operations, so that backward sees the
// forward's ReLU mask to the bit.
#pragma once
#include "cuda/device/columns.cuh"

namespace sentei::cuda {

struct NormParameters {
  const float *gamma, *beta, *mean;  // beta, mean: 0 when null
  const float *rstd, *var;           // one of the two
  float eps;
};

__device__ __forceinline__ float rstd_of(float var, float eps) { return 1.0f / sqrtf(var + eps); }

template <int V>
struct Affine {
  Vec<V> mean, a, beta;

  __device__ __forceinline__ static Affine of(const Columns& v, std::int64_t column,
                                              const NormParameters& p) {
    Affine f{channels<V>(v, column, p.mean), channels<V>(v, column, p.gamma),
             channels<V>(v, column, p.beta)};
    const Vec<V> scale = channels<V>(v, column, p.rstd ? p.rstd : p.var);
#pragma unroll
    for (int e = 0; e < V; ++e) f.a.v[e] *= p.rstd ? scale.v[e] : rstd_of(scale.v[e], p.eps);
    return f;
  }

  __device__ __forceinline__ float value(float x, int e) const {
    return fmaf(x - mean.v[e], a.v[e], beta.v[e]);
  }
};

// Epilogues: Raw load(i, live) reads what they need beside x (a residual, say), value() maps u.
struct PlainEpilogue {
  struct Raw {};
  __device__ Raw load(std::int64_t, int) const { return {}; }
  __device__ static float value(float u, Raw, int) { return u; }
};

struct ReluEpilogue {
  struct Raw {};
  __device__ Raw load(std::int64_t, int) const { return {}; }
  __device__ static float value(float u, Raw, int) { return u <= 0.0f ? 0.0f : u; }  // NaN stays
};

// What is known of a batch already (mean, var), and what a training step still makes of it. The
// pass that applies the norm does that beside: the threads of the first row call finish(c), once
// for each channel. `rstd` has the bits that Affine computes of var.
struct GivenStatistics {
  const float *mean, *var;  // null: nothing is to be done
  double eps, momentum;
  float *running_mean, *running_var, *out_mean, *out_rstd;

  __device__ __forceinline__ void finish(std::int64_t c) const {
    const float m = mean[c], v = var[c];
    out_mean[c] = m;
    out_rstd[c] = rstd_of(v, static_cast<float>(eps));
    running_mean[c] = static_cast<float>((1 - momentum) * running_mean[c] + momentum * m);
    running_var[c] = static_cast<float>((1 - momentum) * running_var[c] + momentum * v);
  }
};

// Before a map over columns: nothing, or the finish of statistics that were given.
struct NothingBefore {
  template <int V>
  __device__ void run(const Columns&, std::int64_t) const {}
};
struct FinishBefore {
  GivenStatistics given;
  template <int V>
  __device__ void run(const Columns& v, std::int64_t column) const {
    if (blockIdx.y != 0 || static_cast<int>(threadIdx.x) >= v.lanes) return;
#pragma unroll
    for (int e = 0; e < V; ++e)
      if (column + e < v.C) given.finish(column + e);  // not the copies of a wide row
  }
};

// y = epilogue(affine(x)), a map over columns.
template <int V, class Epilogue, class Before = NothingBefore>
struct NormApply {
  struct Raw {
    Vec<V> x;
    typename Epilogue::Raw more;
  };
  const float* x;
  float* y;
  NormParameters parameters;
  Epilogue epilogue;
  Before before = {};

  __device__ Affine<V> column(const Columns& v, std::int64_t column) const {
    before.template run<V>(v, column);
    return Affine<V>::of(v, column, parameters);
  }
  __device__ Raw load(std::int64_t i, int live) const {
    return {cuda::load<V>(x + i, live), epilogue.load(i, live)};
  }
  __device__ void store(const Affine<V>& f, const Raw& raw, std::int64_t i, int live) const {
    Vec<V> out;
#pragma unroll
    for (int e = 0; e < V; ++e) out.v[e] = epilogue.value(f.value(raw.x.v[e], e), raw.more, e);
    cuda::store<V>(y + i, out, live);
  }
};

// Sums of x - shift and (x - shift)^2 with the first pixel as the shift.
template <int V>
struct Statistics {
  static constexpr int kSums = 2;
  const float* x;

  __device__ Vec<V> column(const Columns& v, std::int64_t column) const {
    return channels<V>(v, column, x);
  }
  __device__ Vec<V> begin(std::int64_t i, int live) const { return cuda::load<V>(x + i, live); }
  __device__ Vec<V> load(std::int64_t i, int live) const { return cuda::load<V>(x + i, live); }
  __device__ void add(const Vec<V>&, const Vec<V>& first, const Vec<V>& raw, std::int64_t, int,
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
  std::int64_t rows;
  double eps, momentum;
  const float* x;
  float *running_mean, *running_var, *mean, *rstd;

  __device__ void operator()(std::int64_t c, const double (&S)[2]) const {
    const double n = static_cast<double>(rows), d = S[0] / n, raw = S[1] / n - d * d;
    const double var = raw < 0 ? 0 : raw, m = x[c] + d;
    mean[c] = static_cast<float>(m);
    rstd[c] = static_cast<float>(1.0 / sqrt(var + eps));
    running_mean[c] = static_cast<float>((1 - momentum) * running_mean[c] + momentum * m);
    running_var[c] = static_cast<float>((1 - momentum) * running_var[c] + momentum * var);
  }
};

// The statistics alone, to the same bits.
struct FinishMoments {
  std::int64_t rows;
  const float* x;
  float *mean, *var;

  __device__ void operator()(std::int64_t c, const double (&S)[2]) const {
    const double n = static_cast<double>(rows), d = S[0] / n, raw = S[1] / n - d * d;
    mean[c] = static_cast<float>(x[c] + d);
    var[c] = static_cast<float>(raw < 0 ? 0 : raw);
  }
};

// Gradients g at the map's output: Raw load(i, live) reads x too, value(f, raw, e) is g.
template <int V, bool Relu>
struct DirectGradient {
  struct Raw {
    Vec<V> dy, x;
  };
  const float *dy, *x;

  __device__ Raw load(std::int64_t i, int live) const {
    return {cuda::load<V>(dy + i, live), cuda::load<V>(x + i, live)};
  }
  __device__ static float x_of(const Raw& raw, int e) { return raw.x.v[e]; }
  __device__ static float value(const Affine<V>& f, const Raw& raw, int e) {
    return !Relu || f.value(raw.x.v[e], e) > 0.0f ? raw.dy.v[e] : 0.0f;
  }
};

// What the pass of sums writes beside them.
enum class Beside { nothing, g, dx };  // dx = a g: statistics that do not follow x

// Sums of g and g (x - mean).
template <int V, class Gradient, Beside beside>
struct GradientSums {
  static constexpr int kSums = 2;
  struct None {};
  Gradient gradient;
  float* out;
  NormParameters parameters;

  __device__ Affine<V> column(const Columns& v, std::int64_t column) const {
    return Affine<V>::of(v, column, parameters);
  }
  __device__ None begin(std::int64_t, int) const { return {}; }
  __device__ typename Gradient::Raw load(std::int64_t i, int live) const {
    return gradient.load(i, live);
  }
  __device__ void add(const Affine<V>& f, None, const typename Gradient::Raw& raw, std::int64_t i,
                      int live, float (&s)[2][V]) const {
    Vec<V> written;
#pragma unroll
    for (int e = 0; e < V; ++e) {
      const float g = gradient.value(f, raw, e);
      s[0][e] += g;
      s[1][e] = fmaf(g, gradient.x_of(raw, e) - f.mean.v[e], s[1][e]);
      written.v[e] = beside == Beside::dx ? g * f.a.v[e] : g;
    }
    if (beside != Beside::nothing) cuda::store<V>(out + i, written, live);
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
  std::int64_t rows;
  const float *gamma, *rstd, *var;  // rstd or var
  float eps;
  float *dgamma, *dbeta;
  float *B, *D;  // null with given statistics

  __device__ void operator()(std::int64_t c, const double (&S)[2]) const {
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
template <int V>
struct GradientMap {
  Affine<V> f;
  Vec<V> B, D;

  __device__ __forceinline__ static GradientMap of(const Columns& v, std::int64_t column,
                                                   const NormParameters& p, const float* B,
                                                   const float* D) {
    return {Affine<V>::of(v, column, p), channels<V>(v, column, B), channels<V>(v, column, D)};
  }
  __device__ __forceinline__ float value(float g, float x, int e) const {
    return fmaf(g, f.a.v[e], fmaf(x - f.mean.v[e], B.v[e], D.v[e]));
  }
};

template <int V, class Gradient>
struct GradientApply {
  Gradient gradient;
  float* dx;
  NormParameters parameters;
  const float *B, *D;

  __device__ GradientMap<V> column(const Columns& v, std::int64_t column) const {
    return GradientMap<V>::of(v, column, parameters, B, D);
  }
  __device__ typename Gradient::Raw load(std::int64_t i, int live) const {
    return gradient.load(i, live);
  }
  __device__ void store(const GradientMap<V>& k, const typename Gradient::Raw& raw, std::int64_t i,
                        int live) const {
    Vec<V> out;
#pragma unroll
    for (int e = 0; e < V; ++e)
      out.v[e] = k.value(gradient.value(k.f, raw, e), gradient.x_of(raw, e), e);
    cuda::store<V>(dx + i, out, live);
  }
};

constexpr int kStatisticsBatch = 8, kGradientBatch = 4, kMapBatch = 4;

// The workspace: partials, then B and D (C,) for the second pass of backward.
inline std::int64_t norm_doubles(std::int64_t rows, std::int64_t C) {
  std::int64_t most = 0;
  for (const int batch : {2, kGradientBatch, kStatisticsBatch}) {
    const std::int64_t n = partial_doubles(rows, C, 2, batch);
    most = n > most ? n : most;
  }
  return ceil_div(most, 2) * 2;  // B starts a 16-byte line, D too when C % 4 == 0
}

inline std::size_t norm_workspace(std::int64_t doubles, std::int64_t C) {
  if (C == 0) return 0;
  return static_cast<std::size_t>(doubles) * sizeof(double) +
         static_cast<std::size_t>(2 * C) * sizeof(float);
}

template <int V, class Finish>
void batch_statistics_as(std::int64_t rows, std::int64_t C, const float* x, double* partials,
                         const Finish& finish) {
  reduce_columns<V, kStatisticsBatch>("batch_norm_statistics_kernel", rows, C, Statistics<V>{x},
                                      partials, "batch_norm_statistics_finish_kernel", finish);
}

// The width follows x alone: whatever is fused behind them, statistics of x have the same bits.
template <class Finish>
void batch_statistics(std::int64_t rows, std::int64_t C, const float* x, double* partials,
                      const Finish& finish) {
  const auto run =
      aligned_to_vectors(x) ? batch_statistics_as<4, Finish> : batch_statistics_as<1, Finish>;
  run(rows, C, x, partials, finish);
}

template <int V, Beside beside, int Batch = kGradientBatch, class Gradient>
void gradient_sums(std::int64_t rows, std::int64_t C, const Gradient& gradient, float* out,
                   const NormParameters& p, double* partials, const FinishGradient& finish) {
  reduce_columns<V, Batch>("batch_norm_gradient_kernel", rows, C,
                           GradientSums<V, Gradient, beside>{gradient, out, p}, partials,
                           "batch_norm_gradient_finish_kernel", finish);
}

template <int V, class Gradient>
void gradient_apply(std::int64_t rows, std::int64_t C, const Gradient& gradient, float* dx,
                    const NormParameters& p, const FinishGradient& finish) {
  map_columns<V, kMapBatch>("batch_norm_backward_kernel", rows, C,
                            GradientApply<V, Gradient>{gradient, dx, p, finish.B, finish.D});
}

}  // namespace sentei::cuda
