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
  // loss (1): the sum of per_sample (n), or its mean.
  void (*reduce)(std::int64_t n, const float* per_sample, bool mean, float* loss);
  // y = x dloss[0] / divisor; y may be x.
  void (*scale)(std::int64_t n, const float* x, const float* dloss, float divisor, float* y);
};

}  // namespace sentei::kernels
SENTEI_KERNEL_TABLE(LossKernels, loss_kernels)
