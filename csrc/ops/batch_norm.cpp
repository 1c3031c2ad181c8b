#include "ops/batch_norm.hpp"

#include "kernels/batch_norm.hpp"
#include "ops/batch_norm_checks.hpp"

namespace sentei::ops {
std::int64_t batch_norm_workspace(const Shape& x, Device device) {
  return static_cast<std::int64_t>(
      kernels::batch_norm_kernels(device).workspace(x.rows(), x.back()));
}

void batch_norm_forward(const Tensor& x, const Tensor& gamma, const Tensor& beta,
                        const Tensor& running_mean, const Tensor& running_var, const Tensor& y,
                        const Tensor& mean, const Tensor& rstd, const Tensor& workspace, double eps,
                        double momentum, bool relu, const Tensor* given_mean,
                        const Tensor* given_var) {
  const char* op = "batch_norm_forward";
  const Device device = device_of(op, {{"x", &x},
                                       {"gamma", &gamma},
                                       {"beta", &beta},
                                       {"running_mean", &running_mean},
                                       {"running_var", &running_var},
                                       {"y", &y},
                                       {"mean", &mean},
                                       {"rstd", &rstd},
                                       {"workspace", &workspace},
                                       {"batch_mean", given_mean},
                                       {"batch_var", given_var}});
  check_norm_input(op, "x", x);
  check_channels(op, "gamma", gamma, x);
  check_channels(op, "beta", beta, x);
  check_channels(op, "running_mean", running_mean, x);
  check_channels(op, "running_var", running_var, x);
  check_like(op, "y", y, x);
  check_channels(op, "mean", mean, x);
  check_channels(op, "rstd", rstd, x);
  check_not_empty(op, x);
  check_given_statistics(op, given_mean, given_var, x);
  check_eps(op, eps);
  check_momentum(op, momentum);
  check_same_or_apart(op, "y", y, "x", x);
  check_statistics(op,
                   {{"running_mean", &running_mean},
                    {"running_var", &running_var},
                    {"mean", &mean},
                    {"rstd", &rstd}},
                   {{"x", &x},
                    {"y", &y},
                    {"gamma", &gamma},
                    {"beta", &beta},
                    {"batch_mean", given_mean},
                    {"batch_var", given_var}});
  check_apart(
      op, "y", y,
      {{"gamma", &gamma}, {"beta", &beta}, {"batch_mean", given_mean}, {"batch_var", given_var}});
  std::byte* const work = check_scratch(op, workspace, batch_norm_workspace(x.shape(), device));
  kernels::batch_norm_kernels(device).forward(
      x.shape().rows(), x.shape().back(), x.data<float>(), gamma.data<float>(), beta.data<float>(),
      running_mean.data<float>(), running_var.data<float>(), y.data<float>(), mean.data<float>(),
      rstd.data<float>(), work, eps, momentum, relu,
      given_mean ? given_mean->data<float>() : nullptr,
      given_var ? given_var->data<float>() : nullptr);
}

void batch_norm_backward(const Tensor& dy, const Tensor& x, const Tensor& gamma, const Tensor& mean,
                         const Tensor& rstd, const Tensor* beta, const Tensor& dx,
                         const Tensor& dgamma, const Tensor& dbeta, const Tensor& workspace,
                         bool relu) {
  const char* op = "batch_norm_backward";
  const Device device = device_of(op, {{"dy", &dy},
                                       {"x", &x},
                                       {"gamma", &gamma},
                                       {"mean", &mean},
                                       {"rstd", &rstd},
                                       {"beta", beta},
                                       {"dx", &dx},
                                       {"dgamma", &dgamma},
                                       {"dbeta", &dbeta},
                                       {"workspace", &workspace}});
  check_norm_input(op, "x", x);
  check_like(op, "dy", dy, x);
  check_channels(op, "gamma", gamma, x);
  check_channels(op, "mean", mean, x);
  check_channels(op, "rstd", rstd, x);
  if (relu) {
    check_given(op, "beta", beta);
    check_channels(op, "beta", *beta, x);
  }
  check_like(op, "dx", dx, x);
  check_channels(op, "dgamma", dgamma, x);
  check_channels(op, "dbeta", dbeta, x);
  check_not_empty(op, x);
  check_same_or_apart(op, "dx", dx, "dy", dy);
  check_same_or_apart(op, "dx", dx, "x", x);
  check_gradients(op, dx, dgamma, dbeta,
                  {{"dy", &dy},
                   {"x", &x},
                   {"gamma", &gamma},
                   {"mean", &mean},
                   {"rstd", &rstd},
                   {"beta", beta}});
  std::byte* const work = check_scratch(op, workspace, batch_norm_workspace(x.shape(), device));
  kernels::batch_norm_kernels(device).backward(
      x.shape().rows(), x.shape().back(), dy.data<float>(), x.data<float>(), gamma.data<float>(),
      mean.data<float>(), rstd.data<float>(), relu ? beta->data<float>() : nullptr,
      dx.data<float>(), dgamma.data<float>(), dbeta.data<float>(), work, relu);
}

void batch_norm_inference_forward(const Tensor& x, const Tensor& gamma, const Tensor& beta,
                                  const Tensor& mean, const Tensor& var, const Tensor& y,
                                  const Tensor& workspace, double eps, bool relu) {
  const char* op = "batch_norm_inference_forward";
  const Device device = device_of(op, {{"x", &x},
                                       {"gamma", &gamma},
                                       {"beta", &beta},
                                       {"mean", &mean},
                                       {"var", &var},
                                       {"y", &y},
                                       {"workspace", &workspace}});
  check_norm_input(op, "x", x);
  check_channels(op, "gamma", gamma, x);
  check_channels(op, "beta", beta, x);
  check_channels(op, "mean", mean, x);
  check_channels(op, "var", var, x);
  check_like(op, "y", y, x);
  check_eps(op, eps);
  check_same_or_apart(op, "y", y, "x", x);
  check_apart(op, "y", y, {{"gamma", &gamma}, {"beta", &beta}, {"mean", &mean}, {"var", &var}});
  std::byte* const work = check_scratch(op, workspace, batch_norm_workspace(x.shape(), device));
  if (x.size() == 0) return;
  kernels::batch_norm_kernels(device).inference(
      x.shape().rows(), x.shape().back(), x.data<float>(), gamma.data<float>(), beta.data<float>(),
      mean.data<float>(), var.data<float>(), y.data<float>(), work, eps, relu);
}

void batch_norm_inference_backward(const Tensor& dy, const Tensor& x, const Tensor& gamma,
                                   const Tensor& mean, const Tensor& var, const Tensor* beta,
                                   const Tensor& dx, const Tensor& dgamma, const Tensor& dbeta,
                                   const Tensor& workspace, double eps, bool relu) {
  const char* op = "batch_norm_inference_backward";
  const Device device = device_of(op, {{"dy", &dy},
                                       {"x", &x},
                                       {"gamma", &gamma},
                                       {"mean", &mean},
                                       {"var", &var},
                                       {"beta", beta},
                                       {"dx", &dx},
                                       {"dgamma", &dgamma},
                                       {"dbeta", &dbeta},
                                       {"workspace", &workspace}});
  check_norm_input(op, "x", x);
  check_like(op, "dy", dy, x);
  check_channels(op, "gamma", gamma, x);
  check_channels(op, "mean", mean, x);
  check_channels(op, "var", var, x);
  if (relu) {
    check_given(op, "beta", beta);
    check_channels(op, "beta", *beta, x);
  }
  check_like(op, "dx", dx, x);
  check_channels(op, "dgamma", dgamma, x);
  check_channels(op, "dbeta", dbeta, x);
  check_eps(op, eps);
  check_same_or_apart(op, "dx", dx, "dy", dy);
  check_same_or_apart(op, "dx", dx, "x", x);
  check_gradients(
      op, dx, dgamma, dbeta,
      {{"dy", &dy}, {"x", &x}, {"gamma", &gamma}, {"mean", &mean}, {"var", &var}, {"beta", beta}});
  std::byte* const work = check_scratch(op, workspace, batch_norm_workspace(x.shape(), device));
  if (x.shape().back() == 0) return;
  kernels::batch_norm_kernels(device).inference_backward(
      x.shape().rows(), x.shape().back(), dy.data<float>(), x.data<float>(), gamma.data<float>(),
      mean.data<float>(), var.data<float>(), relu ? beta->data<float>() : nullptr, dx.data<float>(),
      dgamma.data<float>(), dbeta.data<float>(), work, eps, relu);
}

void batch_norm_inference_backward_input(const Tensor& dy, const Tensor& gamma, const Tensor& var,
                                         const Tensor* x, const Tensor* mean, const Tensor* beta,
                                         const Tensor& dx, const Tensor& workspace, double eps,
                                         bool relu) {
  const char* op = "batch_norm_inference_backward_input";
  const Device device = device_of(op, {{"dy", &dy},
                                       {"gamma", &gamma},
                                       {"var", &var},
                                       {"x", x},
                                       {"mean", mean},
                                       {"beta", beta},
                                       {"dx", &dx},
                                       {"workspace", &workspace}});
  check_norm_input(op, "dy", dy);
  check_channels(op, "gamma", gamma, dy);
  check_channels(op, "var", var, dy);
  if (relu) {
    check_given(op, "x", x);
    check_given(op, "mean", mean);
    check_given(op, "beta", beta);
    check_like(op, "x", *x, dy);
    check_channels(op, "mean", *mean, dy);
    check_channels(op, "beta", *beta, dy);
    check_same_or_apart(op, "dx", dx, "x", *x);
  }
  check_like(op, "dx", dx, dy);
  check_eps(op, eps);
  check_same_or_apart(op, "dx", dx, "dy", dy);
  check_apart(op, "dx", dx, {{"gamma", &gamma}, {"var", &var}, {"mean", mean}, {"beta", beta}});
  std::byte* const work = check_scratch(op, workspace, batch_norm_workspace(dy.shape(), device));
  if (dy.size() == 0) return;
  kernels::batch_norm_kernels(device).inference_backward_input(
      dy.shape().rows(), dy.shape().back(), dy.data<float>(), gamma.data<float>(),
      var.data<float>(), relu ? x->data<float>() : nullptr, relu ? mean->data<float>() : nullptr,
      relu ? beta->data<float>() : nullptr, dx.data<float>(), work, eps, relu);
}

}  // namespace sentei::ops
