#include "ops/batch_norm.hpp"

#include <cmath>

#include "cpu/batch_norm.hpp"
#include "ops/checks.hpp"

namespace sentei::ops {
namespace {

void check_x(const char* op, const char* name, const Tensor& x) {
  check_float(op, name, x);
  SENTEI_CHECK(ShapeError, x.shape().rank == 2 || x.shape().rank == 4, op, ": ", name,
               " must have shape (N, H, W, C) or (N, C), got ", x.shape());
}

void check_channels(const char* op, const char* name, const Tensor& t, const Tensor& x) {
  check_float(op, name, t);
  check_shape(op, name, t, Shape{x.shape().back()});
}

void check_like(const char* op, const char* name, const Tensor& t, const Tensor& x) {
  check_float(op, name, t);
  check_shape(op, name, t, x.shape());
}

void check_given(const char* op, const char* name, const Tensor* t) {
  SENTEI_CHECK(ValueError, t != nullptr, op, ": ", name, " must be given when relu is on");
}

void check_eps(const char* op, double eps) {
  SENTEI_CHECK(ValueError, std::isfinite(eps) && eps > 0, op,
               ": eps must be a finite number above 0, got ", eps);
}

void check_workspace(const char* op, const Tensor& w, const Tensor& x) {
  check_cpu(op, "workspace", w);
  check_dtype(op, "workspace", w, DType::u8);
  const auto need = static_cast<std::size_t>(batch_norm_workspace(x.shape()));
  SENTEI_CHECK(ShapeError, w.bytes() >= need, op, ": workspace must have at least ", need,
               " bytes, got ", w.bytes());
}

}  // namespace

std::int64_t batch_norm_workspace(const Shape& x) {
  return static_cast<std::int64_t>(cpu::batch_norm_kernels().workspace(x.rows(), x.back()));
}

void batch_norm_forward(const Tensor& x, const Tensor& gamma, const Tensor& beta,
                        const Tensor& running_mean, const Tensor& running_var, const Tensor& y,
                        const Tensor& mean, const Tensor& rstd, const Tensor& workspace, double eps,
                        double momentum, bool relu) {
  const char* op = "batch_norm_forward";
  check_x(op, "x", x);
  check_channels(op, "gamma", gamma, x);
  check_channels(op, "beta", beta, x);
  check_channels(op, "running_mean", running_mean, x);
  check_channels(op, "running_var", running_var, x);
  check_like(op, "y", y, x);
  check_channels(op, "mean", mean, x);
  check_channels(op, "rstd", rstd, x);
  SENTEI_CHECK(ShapeError, x.size() > 0, op,
               ": x must have at least one element per channel, got shape ", x.shape());
  check_eps(op, eps);
  SENTEI_CHECK(ValueError, momentum >= 0 && momentum <= 1, op,
               ": momentum must be between 0 and 1, got ", momentum);
  check_same_or_apart(op, "y", y, "x", x);
  check_workspace(op, workspace, x);
  cpu::batch_norm_kernels().forward(
      x.shape().rows(), x.shape().back(), x.data<float>(), gamma.data<float>(), beta.data<float>(),
      running_mean.data<float>(), running_var.data<float>(), y.data<float>(), mean.data<float>(),
      rstd.data<float>(), workspace.raw(), eps, momentum, relu);
}

void batch_norm_backward(const Tensor& dy, const Tensor& x, const Tensor& gamma, const Tensor& mean,
                         const Tensor& rstd, const Tensor* beta, const Tensor& dx,
                         const Tensor& dgamma, const Tensor& dbeta, const Tensor& workspace,
                         bool relu) {
  const char* op = "batch_norm_backward";
  check_x(op, "x", x);
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
  SENTEI_CHECK(ShapeError, x.size() > 0, op,
               ": x must have at least one element per channel, got shape ", x.shape());
  check_same_or_apart(op, "dx", dx, "dy", dy);
  check_same_or_apart(op, "dx", dx, "x", x);
  check_workspace(op, workspace, x);
  cpu::batch_norm_kernels().backward(
      x.shape().rows(), x.shape().back(), dy.data<float>(), x.data<float>(), gamma.data<float>(),
      mean.data<float>(), rstd.data<float>(), relu ? beta->data<float>() : nullptr,
      dx.data<float>(), dgamma.data<float>(), dbeta.data<float>(), workspace.raw(), relu);
}

void batch_norm_inference_forward(const Tensor& x, const Tensor& gamma, const Tensor& beta,
                                  const Tensor& mean, const Tensor& var, const Tensor& y,
                                  const Tensor& workspace, double eps, bool relu) {
  const char* op = "batch_norm_inference_forward";
  check_x(op, "x", x);
  check_channels(op, "gamma", gamma, x);
  check_channels(op, "beta", beta, x);
  check_channels(op, "mean", mean, x);
  check_channels(op, "var", var, x);
  check_like(op, "y", y, x);
  check_eps(op, eps);
  check_same_or_apart(op, "y", y, "x", x);
  check_workspace(op, workspace, x);
  if (x.size() == 0) return;
  cpu::batch_norm_kernels().inference(
      x.shape().rows(), x.shape().back(), x.data<float>(), gamma.data<float>(), beta.data<float>(),
      mean.data<float>(), var.data<float>(), y.data<float>(), workspace.raw(), eps, relu);
}

void batch_norm_inference_backward(const Tensor& dy, const Tensor& x, const Tensor& gamma,
                                   const Tensor& mean, const Tensor& var, const Tensor* beta,
                                   const Tensor& dx, const Tensor& dgamma, const Tensor& dbeta,
                                   const Tensor& workspace, double eps, bool relu) {
  const char* op = "batch_norm_inference_backward";
  check_x(op, "x", x);
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
  check_workspace(op, workspace, x);
  if (x.shape().back() == 0) return;
  cpu::batch_norm_kernels().inference_backward(
      x.shape().rows(), x.shape().back(), dy.data<float>(), x.data<float>(), gamma.data<float>(),
      mean.data<float>(), var.data<float>(), relu ? beta->data<float>() : nullptr, dx.data<float>(),
      dgamma.data<float>(), dbeta.data<float>(), workspace.raw(), eps, relu);
}

void batch_norm_inference_backward_input(const Tensor& dy, const Tensor& gamma, const Tensor& var,
                                         const Tensor* x, const Tensor* mean, const Tensor* beta,
                                         const Tensor& dx, const Tensor& workspace, double eps,
                                         bool relu) {
  const char* op = "batch_norm_inference_backward_input";
  check_x(op, "dy", dy);
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
  check_workspace(op, workspace, dy);
  if (dy.size() == 0) return;
  cpu::batch_norm_kernels().inference_backward_input(
      dy.shape().rows(), dy.shape().back(), dy.data<float>(), gamma.data<float>(),
      var.data<float>(), relu ? x->data<float>() : nullptr, relu ? mean->data<float>() : nullptr,
      relu ? beta->data<float>() : nullptr, dx.data<float>(), workspace.raw(), eps, relu);
}

}  // namespace sentei::ops
