#include "ops/batch_norm_pool.hpp"

#include "kernels/batch_norm_pool.hpp"
#include "ops/batch_norm_checks.hpp"

namespace sentei::ops {
namespace {

// Shape of y.
Shape check_image(const char* op, const Tensor& x) {
  check_float(op, "x", x);
  SENTEI_CHECK(ShapeError, x.shape().rank == 4 && x.shape()[1] >= 2 && x.shape()[2] >= 2, op,
               ": x must have shape (N, H, W, C) with H, W >= 2, got ", x.shape());
  check_not_empty(op, x);
  return {x.shape()[0], x.shape()[1] / 2, x.shape()[2] / 2, x.shape()[3]};
}

void check_index(const char* op, const Tensor& index, const Shape& y) {
  check_dtype(op, "index", index, DType::u8);
  check_shape(op, "index", index, y);
}

kernels::PoolImage image_of(const Shape& x) { return {x[0], x[1], x[2], x[3]}; }

}  // namespace

std::int64_t batch_norm_pool_workspace(const Shape& x, Device device) {
  SENTEI_CHECK(ShapeError, x.rank == 4,
               "batch_norm_pool_workspace: x must have shape (N, H, W, C), got ", x);
  return static_cast<std::int64_t>(kernels::batch_norm_pool_kernels(device).workspace(image_of(x)));
}

void batch_norm_pool_forward(const Tensor& x, const Tensor& gamma, const Tensor& beta,
                             const Tensor& running_mean, const Tensor& running_var, const Tensor& y,
                             const Tensor& index, const Tensor& mean, const Tensor& rstd,
                             const Tensor& workspace, double eps, double momentum, bool relu,
                             const Tensor* given_mean, const Tensor* given_var) {
  const char* op = "batch_norm_pool_forward";
  const Device device = device_of(op, {{"x", &x},
                                       {"gamma", &gamma},
                                       {"beta", &beta},
                                       {"running_mean", &running_mean},
                                       {"running_var", &running_var},
                                       {"y", &y},
                                       {"index", &index},
                                       {"mean", &mean},
                                       {"rstd", &rstd},
                                       {"workspace", &workspace},
                                       {"batch_mean", given_mean},
                                       {"batch_var", given_var}});
  const Shape out = check_image(op, x);
  for (const Argument& a :
       {Argument{"gamma", &gamma}, Argument{"beta", &beta}, Argument{"running_mean", &running_mean},
        Argument{"running_var", &running_var}, Argument{"mean", &mean}, Argument{"rstd", &rstd}})
    check_channels(op, a.name, *a.tensor, x);
  check_float(op, "y", y);
  check_shape(op, "y", y, out);
  check_index(op, index, out);
  check_given_statistics(op, given_mean, given_var, x);
  check_eps(op, eps);
  check_momentum(op, momentum);
  check_statistics(op,
                   {{"running_mean", &running_mean},
                    {"running_var", &running_var},
                    {"mean", &mean},
                    {"rstd", &rstd}},
                   {{"x", &x},
                    {"y", &y},
                    {"index", &index},
                    {"gamma", &gamma},
                    {"beta", &beta},
                    {"batch_mean", given_mean},
                    {"batch_var", given_var}});
  check_apart(op, "y", y,
              {{"x", &x},
               {"index", &index},
               {"gamma", &gamma},
               {"beta", &beta},
               {"batch_mean", given_mean},
               {"batch_var", given_var}});
  check_apart(op, "index", index,
              {{"x", &x},
               {"gamma", &gamma},
               {"beta", &beta},
               {"batch_mean", given_mean},
               {"batch_var", given_var}});
  std::byte* const work =
      check_scratch(op, workspace, batch_norm_pool_workspace(x.shape(), device));
  kernels::batch_norm_pool_kernels(device).forward(
      image_of(x.shape()), x.data<float>(), gamma.data<float>(), beta.data<float>(),
      running_mean.data<float>(), running_var.data<float>(), y.data<float>(),
      index.data<std::uint8_t>(), mean.data<float>(), rstd.data<float>(), work, eps, momentum, relu,
      given_mean ? given_mean->data<float>() : nullptr,
      given_var ? given_var->data<float>() : nullptr);
}

void batch_norm_pool_backward(const Tensor& dy, const Tensor& index, const Tensor& x,
                              const Tensor& gamma, const Tensor& mean, const Tensor& rstd,
                              const Tensor* beta, const Tensor& dx, const Tensor& dgamma,
                              const Tensor& dbeta, const Tensor& workspace, bool relu) {
  const char* op = "batch_norm_pool_backward";
  const Device device = device_of(op, {{"dy", &dy},
                                       {"index", &index},
                                       {"x", &x},
                                       {"gamma", &gamma},
                                       {"mean", &mean},
                                       {"rstd", &rstd},
                                       {"beta", beta},
                                       {"dx", &dx},
                                       {"dgamma", &dgamma},
                                       {"dbeta", &dbeta},
                                       {"workspace", &workspace}});
  const Shape out = check_image(op, x);
  check_float(op, "dy", dy);
  check_shape(op, "dy", dy, out);
  check_index(op, index, out);
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
  check_apart(op, "dx", dx, {{"dy", &dy}, {"x", &x}, {"index", &index}});
  check_gradients(op, dx, dgamma, dbeta,
                  {{"dy", &dy},
                   {"x", &x},
                   {"index", &index},
                   {"gamma", &gamma},
                   {"mean", &mean},
                   {"rstd", &rstd},
                   {"beta", beta}});
  std::byte* const work =
      check_scratch(op, workspace, batch_norm_pool_workspace(x.shape(), device));
  kernels::batch_norm_pool_kernels(device).backward(
      image_of(x.shape()), dy.data<float>(), index.data<std::uint8_t>(), x.data<float>(),
      gamma.data<float>(), mean.data<float>(), rstd.data<float>(),
      relu ? beta->data<float>() : nullptr, dx.data<float>(), dgamma.data<float>(),
      dbeta.data<float>(), work, relu);
}

}  // namespace sentei::ops
