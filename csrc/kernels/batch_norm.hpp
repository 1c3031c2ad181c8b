#pragma once
#include <cstddef>
#include <cstdint>

#include "kernels/table.hpp"

namespace sentei::kernels {

// given_mean, given_var (C), not null: the statistics of x, the variance biased, are these and need
// not be computed; all three norms of the family take them.
struct BatchNormKernels {
  std::size_t (*workspace)(std::int64_t rows, std::int64_t C);
  void (*forward)(std::int64_t rows, std::int64_t C, const float* x, const float* gamma,
                  const float* beta, float* running_mean, float* running_var, float* y, float* mean,
                  float* rstd, std::byte* workspace, double eps, double momentum, bool relu,
                  const float* given_mean, const float* given_var);
  // beta is read only with relu.
  void (*backward)(std::int64_t rows, std::int64_t C, const float* dy, const float* x,
                   const float* gamma, const float* mean, const float* rstd, const float* beta,
                   float* dx, float* dgamma, float* dbeta, std::byte* workspace, bool relu);
  void (*inference)(std::int64_t rows, std::int64_t C, const float* x, const float* gamma,
                    const float* beta, const float* mean, const float* var, float* y,
                    std::byte* workspace, double eps, bool relu);
  void (*inference_backward)(std::int64_t rows, std::int64_t C, const float* dy, const float* x,
                             const float* gamma, const float* mean, const float* var,
                             const float* beta, float* dx, float* dgamma, float* dbeta,
                             std::byte* workspace, double eps, bool relu);
  // x, mean, beta are read only with relu.
  void (*inference_backward_input)(std::int64_t rows, std::int64_t C, const float* dy,
                                   const float* gamma, const float* var, const float* x,
                                   const float* mean, const float* beta, float* dx,
                                   std::byte* workspace, double eps, bool relu);
};

}  // namespace sentei::kernels
SENTEI_KERNEL_TABLE(BatchNormKernels, batch_norm_kernels)
