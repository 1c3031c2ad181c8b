#include "ops/batch_norm_add.hpp"

#include "kernels/batch_norm_add.hpp"
#include "ops/batch_norm_checks.hpp"

namespace sentei::ops {
std::int64_t batch_norm_add_workspace(const Shape& x, Device device) {
  return static_cast<std::int64_t>(
      kernels::batch_norm_add_kernels(device).workspace(x.rows(), x.back()));
}

void batch_norm_add_forward(const Tensor& x, const Tensor& other, const Tensor& gamma,
                            const Tensor& beta, const Tensor& running_mean,
                            const Tensor& running_var, const Tensor& y, const Tensor& mean,
                            const Tensor& rstd, const Tensor& workspace, double eps,
                            double momentum, const Tensor* given_mean, const Tensor* given_var) {
  const char* op = "batch_norm_add_forward";
  const Device device = device_of(op, {{"x", &x},
                                       {"other", &other},
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
  check_not_empty(op, x);
  check_like(op, "other", other, x);
  for (const Argument& a :
       {Argument{"gamma", &gamma}, Argument{"beta", &beta}, Argument{"running_mean", &running_mean},
        Argument{"running_var", &running_var}, Argument{"mean", &mean}, Argument{"rstd", &rstd}})
    check_channels(op, a.name, *a.tensor, x);
  check_like(op, "y", y, x);
  check_given_statistics(op, given_mean, given_var, x);
  check_eps(op, eps);
  check_momentum(op, momentum);
  check_same_or_apart(op, "y", y, "x", x);
  check_same_or_apart(op, "y", y, "other", other);
  check_statistics(op,
                   {{"running_mean", &running_mean},
                    {"running_var", &running_var},
                    {"mean", &mean},
                    {"rstd", &rstd}},
                   {{"x", &x},
                    {"other", &other},
                    {"y", &y},
                    {"gamma", &gamma},
                    {"beta", &beta},
                    {"batch_mean", given_mean},
                    {"batch_var", given_var}});
  check_apart(
      op, "y", y,
      {{"gamma", &gamma}, {"beta", &beta}, {"batch_mean", given_mean}, {"batch_var", given_var}});
  std::byte* const work = check_scratch(op, workspace, batch_norm_add_workspace(x.shape(), device));
  kernels::batch_norm_add_kernels(device).forward(
      x.shape().rows(), x.shape().back(), x.data<float>(), other.data<float>(), gamma.data<float>(),
      beta.data<float>(), running_mean.data<float>(), running_var.data<float>(), y.data<float>(),
      mean.data<float>(), rstd.data<float>(), work, eps, momentum,
      given_mean ? given_mean->data<float>() : nullptr,
      given_var ? given_var->data<float>() : nullptr);
}

void batch_norm_add_backward(const Tensor& dy, const Tensor& y, const Tensor& x,
                             const Tensor& gamma, const Tensor& mean, const Tensor& rstd,
                             const Tensor& dx, const Tensor& dother, const Tensor& dgamma,
                             const Tensor& dbeta, const Tensor& workspace) {
  const char* op = "batch_norm_add_backward";
  const Device device = device_of(op, {{"dy", &dy},
                                       {"y", &y},
                                       {"x", &x},
                                       {"gamma", &gamma},
                                       {"mean", &mean},
                                       {"rstd", &rstd},
                                       {"dx", &dx},
                                       {"dother", &dother},
                                       {"dgamma", &dgamma},
                                       {"dbeta", &dbeta},
                                       {"workspace", &workspace}});
  check_norm_input(op, "x", x);
  check_not_empty(op, x);
  check_like(op, "dy", dy, x);
  check_like(op, "y", y, x);
  check_channels(op, "gamma", gamma, x);
  check_channels(op, "mean", mean, x);
  check_channels(op, "rstd", rstd, x);
  check_like(op, "dx", dx, x);
  check_like(op, "dother", dother, x);
  check_channels(op, "dgamma", dgamma, x);
  check_channels(op, "dbeta", dbeta, x);
  check_same_or_apart(op, "dx", dx, "dy", dy);
  check_same_or_apart(op, "dx", dx, "x", x);
  check_apart(op, "dother", dother,
              {{"dy", &dy}, {"y", &y}, {"x", &x}, {"dx", &dx}, {"gamma", &gamma}, {"mean", &mean}});
  check_gradients(op, dx, dgamma, dbeta,
                  {{"dy", &dy},
                   {"x", &x},
                   {"y", &y},
                   {"dother", &dother},
                   {"gamma", &gamma},
                   {"mean", &mean},
                   {"rstd", &rstd}});
  std::byte* const work = check_scratch(op, workspace, batch_norm_add_workspace(x.shape(), device));
  kernels::batch_norm_add_kernels(device).backward(
      x.shape().rows(), x.shape().back(), dy.data<float>(), y.data<float>(), x.data<float>(),
      gamma.data<float>(), mean.data<float>(), rstd.data<float>(), dx.data<float>(),
      dother.data<float>(), dgamma.data<float>(), dbeta.data<float>(), work);
}

}  // namespace sentei::ops
