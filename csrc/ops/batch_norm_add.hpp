// Batch norm, the addition of another branch, and ReLU.
#pragma once
#include "core/tensor.hpp"

namespace sentei::ops {

std::int64_t batch_norm_add_workspace(const Shape& x, Device device);

// y = relu(batch_norm(x) + other)
void batch_norm_add_forward(const Tensor& x, const Tensor& other, const Tensor& gamma,
                            const Tensor& beta, const Tensor& running_mean,
                            const Tensor& running_var, const Tensor& y, const Tensor& mean,
                            const Tensor& rstd, const Tensor& workspace, double eps,
                            double momentum, const Tensor* given_mean, const Tensor* given_var);
// dx may be dy.
void batch_norm_add_backward(const Tensor& dy, const Tensor& y, const Tensor& x,
                             const Tensor& gamma, const Tensor& mean, const Tensor& rstd,
                             const Tensor& dx, const Tensor& dother, const Tensor& dgamma,
                             const Tensor& dbeta, const Tensor& workspace);

}  // namespace sentei::ops
