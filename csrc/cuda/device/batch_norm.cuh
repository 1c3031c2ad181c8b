// Batch norm's affine map per channel, y = (x - mean) a + beta with a = gamma rstd, and what may
// follow it in the same pass. Every kernel evaluates it by the same operations, so that backward
// sees the forward's ReLU mask to the bit.
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

// y = epilogue(affine(x)), a map over columns.
template <int V, class Epilogue>
struct NormApply {
  struct Raw {
    Vec<V> x;
    typename Epilogue::Raw more;
  };
  const float* x;
  float* y;
  NormParameters parameters;
  Epilogue epilogue;

  __device__ Affine<V> column(const Columns& v, std::int64_t column) const {
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

}  // namespace sentei::cuda
