// AdaGrad, RMSprop and Adam on one element, for updates of all rows and of some.
#pragma once
#include "cuda/device/portable.cuh"
#include "kernels/optimizers.hpp"

namespace sentei::cuda {

// scalar(i, t), t counting updates from 1, is computed by thread i of a block; step gets both.
struct AdaGrad {
  static constexpr bool kTwo = false;
  const float* lr;
  float eps, decay;
  __device__ float scalar(int, std::int64_t) const { return *lr; }
  __device__ float scalar(int) const { return *lr; }
  __device__ __forceinline__ void step(float& w, float g, float& h, float&, float rate,
                                       float) const {
    g = fmaf(decay, w, g);
    h = fmaf(g, g, h);
    w -= rate * g / (sqrtf(h) + eps);
  }
};
struct RmsProp {
  static constexpr bool kTwo = false;
  const float* lr;
  float alpha, keep, eps, decay;
  __device__ float scalar(int, std::int64_t) const { return *lr; }
  __device__ float scalar(int) const { return *lr; }
  __device__ __forceinline__ void step(float& w, float g, float& h, float&, float rate,
                                       float) const {
    g = fmaf(decay, w, g);
    h = fmaf(alpha, h, keep * g * g);
    w -= rate * g / sqrtf(h + eps);
  }
};
template <bool kInside>
struct Adam {
  static constexpr bool kTwo = true;
  const std::int64_t* t;
  const float* lr;
  double wide_beta1, wide_beta2;
  float beta1, keep1, beta2, keep2, eps, decay;
  __device__ float scalar(int i) const { return scalar(i, *t); }
  __device__ float scalar(int i, std::int64_t updates) const {
    const double top = i ? 1.0 : static_cast<double>(*lr);
    const double beta = i ? wide_beta2 : wide_beta1;
    return static_cast<float>(top / (1 - pow(beta, static_cast<double>(updates))));
  }
  __device__ __forceinline__ void step(float& w, float g, float& m, float& v, float rate,
                                       float correction) const {
    g = fmaf(decay, w, g);
    m = fmaf(beta1, m, keep1 * g);
    v = fmaf(beta2, v, keep2 * g * g);
    const float scale = kInside ? sqrtf(fmaf(v, correction, eps)) : sqrtf(v * correction) + eps;
    w -= rate * m / scale;
  }
};

template <bool kInside>
inline Adam<kInside> adam_rule(const std::int64_t* t, const float* lr,
                               const kernels::AdamScalars& s) {
  const auto f = [](double x) { return static_cast<float>(x); };
  return {t,     lr,     s.beta1, s.beta2, f(s.beta1), f(1 - s.beta1), f(s.beta2), f(1 - s.beta2),
          s.eps, s.decay};
}

}  // namespace sentei::cuda
