#pragma once
#include <cstdint>

#include "kernels/table.hpp"

namespace sentei::kernels {

enum class Loss {
  squared,
  binary_ce,
  binary_ce_logits,
  categorical_ce,
  logistic,
  exponential,
  hinge,
  quantile,
  huber,
  eps_insensitive,
};

struct LossKernels {
  // y, t, grad (n, k), per_sample (n): sums over k and their gradients.
  void (*forward)(Loss kind, std::int64_t n, std::int64_t k, const float* y, const float* t,
                  double parameter, float* per_sample, float* grad);
  void (*scale)(std::int64_t n, const float* x, float factor, float* y);
};

}  // namespace sentei::kernels
SENTEI_KERNEL_TABLE(LossKernels, loss_kernels)
