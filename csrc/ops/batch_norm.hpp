// Batch norm over the last axis of x (N, H, W, C) or (N, C); gamma, beta and statistics are (C,).
#pragma once
#include "core/tensor.hpp"

namespace sentei::ops {

// Scratch bytes that every function below takes as `workspace`.
std::int64_t batch_norm_workspace(const Shape& x, Device device);

// Batch statistics; running_* are updated in place with the biased variance. y may be x.
void batch_norm_forward(const Tensor& x, const Tensor& gamma, const Tensor& beta,
                        const Tensor& running_mean, const Tensor& running_var, const Tensor& y,
                        const Tensor& mean, const Tensor& rstd, const Tensor& workspace, double eps,
                        double momentum, bool relu, const Tensor* given_mean,
                        const Tensor* given_var);

// beta only with relu. dx may be dy or x.
void batch_norm_backward(const Tensor& dy, const Tensor& x, const Tensor& gamma, const Tensor& mean,
                         const Tensor& rstd, const Tensor* beta, const Tensor& dx,
                         const Tensor& dgamma, const Tensor& dbeta, const Tensor& workspace,
                         bool relu);

// Given statistics. y may be x.
void batch_norm_inference_forward(const Tensor& x, const Tensor& gamma, const Tensor& beta,
                                  const Tensor& mean, const Tensor& var, const Tensor& y,
                                  const Tensor& workspace, double eps, bool relu);
void batch_norm_inference_backward(const Tensor& dy, const Tensor& x, const Tensor& gamma,
                                   const Tensor& mean, const Tensor& var, const Tensor* beta,
                                   const Tensor& dx, const Tensor& dgamma, const Tensor& dbeta,
                                   const Tensor& workspace, double eps, bool relu);
// x, mean, beta only with relu.
void batch_norm_inference_backward_input(const Tensor& dy, const Tensor& gamma, const Tensor& var,
                                         const Tensor* x, const Tensor* mean, const Tensor* beta,
                                         const Tensor& dx, const Tensor& workspace, double eps,
                                         bool relu);

}  // namespace sentei::ops
