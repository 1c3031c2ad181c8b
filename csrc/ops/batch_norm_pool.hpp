// Batch norm, optionally ReLU, and 2 x 2 max pooling: x (N, H, W, C), y (N, H / 2, W / 2, C).
#pragma once
#include "core/tensor.hpp"

namespace sentei::ops {

std::int64_t batch_norm_pool_workspace(const Shape& x, Device device);

void batch_norm_pool_forward(const Tensor& x, const Tensor& gamma, const Tensor& beta,
                             const Tensor& running_mean, const Tensor& running_var, const Tensor& y,
                             const Tensor& index, const Tensor& mean, const Tensor& rstd,
                             const Tensor& workspace, double eps, double momentum, bool relu,
                             const Tensor* given_mean, const Tensor* given_var);
// beta only with relu.
void batch_norm_pool_backward(const Tensor& dy, const Tensor& index, const Tensor& x,
                              const Tensor& gamma, const Tensor& mean, const Tensor& rstd,
                              const Tensor* beta, const Tensor& dx, const Tensor& dgamma,
                              const Tensor& dbeta, const Tensor& workspace, bool relu);

}  // namespace sentei::ops
