// Two batch norms, their sum, and ReLU.
#pragma once
#include "core/tensor.hpp"

namespace sentei::ops {

std::int64_t batch_norm_join_workspace(const Shape& x, Device device);

// y = relu(batch_norm(x) + batch_norm(other))
void batch_norm_join_forward(const Tensor& x, const Tensor& gamma, const Tensor& beta,
                             const Tensor& running_mean, const Tensor& running_var,
                             const Tensor& other, const Tensor& other_gamma,
                             const Tensor& other_beta, const Tensor& other_running_mean,
                             const Tensor& other_running_var, const Tensor& y, const Tensor& mean,
                             const Tensor& rstd, const Tensor& other_mean, const Tensor& other_rstd,
                             const Tensor& workspace, double eps, double momentum);
void batch_norm_join_backward(const Tensor& dy, const Tensor& y, const Tensor& x,
                              const Tensor& gamma, const Tensor& beta, const Tensor& mean,
                              const Tensor& rstd, const Tensor& other, const Tensor& other_gamma,
                              const Tensor& other_beta, const Tensor& other_mean,
                              const Tensor& other_rstd, const Tensor& dx, const Tensor& dgamma,
                              const Tensor& dbeta, const Tensor& dother, const Tensor& dother_gamma,
                              const Tensor& dother_beta, const Tensor& workspace);

}  // namespace sentei::ops
