#pragma once
#include <cstdint>

#include "kernels/table.hpp"

namespace sentei::kernels {

struct ActivationKernels {
  using Map = void (*)(std::int64_t n, const float* x, float* y);
  using MapAlpha = void (*)(std::int64_t n, const float* x, float* y, float alpha);
  // `from` is the output y, for softplus the input x.
  using Back = void (*)(std::int64_t n, const float* from, const float* dy, float* dx);
  using BackAlpha = void (*)(std::int64_t n, const float* from, const float* dy, float* dx,
                             float alpha);
  using MapRange = void (*)(std::int64_t n, const float* x, float* y, float low, float high);
  using BackRange = void (*)(std::int64_t n, const float* from, const float* dy, float* dx,
                             float low, float high);
  Map relu, logistic, tanh, softplus, step;
  MapAlpha leaky_relu, elu;
  Back relu_backward, logistic_backward, tanh_backward, softplus_backward;
  BackAlpha leaky_relu_backward, elu_backward;
  MapRange clip;
  BackRange clip_backward;
};

}  // namespace sentei::kernels
SENTEI_KERNEL_TABLE(ActivationKernels, activation_kernels)
