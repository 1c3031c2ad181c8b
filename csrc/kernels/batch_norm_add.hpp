// Batch norm, the addition of another branch, and ReLU, in one pass each way.
#pragma once
#include <cstddef>
#include <cstdint>

#include "kernels/table.hpp"

namespace sentei::kernels {

struct BatchNormAddKernels {
  std::size_t (*workspace)(std::int64_t rows, std::int64_t C);
  // y = relu(batch_norm(x) + other)
  void (*forward)(std::int64_t rows, std::int64_t C, const float* x, const float* other,
                  const float* gamma, const float* beta, float* running_mean, float* running_var,
                  float* y, float* mean, float* rstd, std::byte* workspace, double eps,
                  double momentum, const float* given_mean, const float* given_var);
  // dother = dy where y > 0; dx may be dy.
  void (*backward)(std::int64_t rows, std::int64_t C, const float* dy, const float* y,
                   const float* x, const float* gamma, const float* mean, const float* rstd,
                   float* dx, float* dother, float* dgamma, float* dbeta, std::byte* workspace);
};

}  // namespace sentei::kernels
SENTEI_KERNEL_TABLE(BatchNormAddKernels, batch_norm_add_kernels)
