// Batch norm, optionally ReLU, and max pooling of 2 x 2 windows with stride 2, in one pass each
// way.
#pragma once
#include <cstddef>
#include <cstdint>

#include "kernels/table.hpp"

namespace sentei::kernels {

struct PoolImage {  // x (N, H, W, C), y (N, H / 2, W / 2, C)
  std::int64_t N, H, W, C;
};

struct BatchNormPoolKernels {
  std::size_t (*workspace)(const PoolImage& g);
  void (*forward)(const PoolImage& g, const float* x, const float* gamma, const float* beta,
                  float* running_mean, float* running_var, float* y, std::uint8_t* index,
                  float* mean, float* rstd, std::byte* workspace, double eps, double momentum,
                  bool relu, const float* given_mean, const float* given_var);
  // beta is read only with relu.
  void (*backward)(const PoolImage& g, const float* dy, const std::uint8_t* index, const float* x,
                   const float* gamma, const float* mean, const float* rstd, const float* beta,
                   float* dx, float* dgamma, float* dbeta, std::byte* workspace, bool relu);
};

}  // namespace sentei::kernels
SENTEI_KERNEL_TABLE(BatchNormPoolKernels, batch_norm_pool_kernels)
