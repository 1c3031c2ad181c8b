#include "ops/batch_norm_join.hpp"

#include "kernels/batch_norm_join.hpp"
#include "ops/batch_norm_checks.hpp"

namespace sentei::ops {
namespace {

// x and other are given and of one shape, the rest are vectors of its channels.
void check_join(const char* op, const Tensor& x, const Tensor& other,
                std::initializer_list<Argument> maps, std::initializer_list<Argument> vectors) {
  check_norm_input(op, "x", x);
  check_not_empty(op, x);
  check_like(op, "other", other, x);
  for (const Argument& a : maps) check_like(op, a.name, *a.tensor, x);
  for (const Argument& a : vectors) check_channels(op, a.name, *a.tensor, x);
}

}  // namespace

std::int64_t batch_norm_join_workspace(const Shape& x, Device device) {
  return static_cast<std::int64_t>(
      kernels::batch_norm_join_kernels(device).workspace(x.rows(), x.back()));
}

void batch_norm_join_forward(const Tensor& x, const Tensor& gamma, const Tensor& beta,
                             const Tensor& running_mean, const Tensor& running_var,
                             const Tensor& other, const Tensor& other_gamma,
                             const Tensor& other_beta, const Tensor& other_running_mean,
                             const Tensor& other_running_var, const Tensor& y, const Tensor& mean,
                             const Tensor& rstd, const Tensor& other_mean, const Tensor& other_rstd,
                             const Tensor& workspace, double eps, double momentum) {
  const char* op = "batch_norm_join_forward";
  const std::initializer_list<Argument> read = {{"x", &x},
                                                {"gamma", &gamma},
                                                {"beta", &beta},
                                                {"other", &other},
                                                {"other_gamma", &other_gamma},
                                                {"other_beta", &other_beta}};
  const std::initializer_list<Argument> written = {{"y", &y},
                                                   {"running_mean", &running_mean},
                                                   {"running_var", &running_var},
                                                   {"other_running_mean", &other_running_mean},
                                                   {"other_running_var", &other_running_var},
                                                   {"mean", &mean},
                                                   {"rstd", &rstd},
                                                   {"other_mean", &other_mean},
                                                   {"other_rstd", &other_rstd}};
  const Device device = device_of(op, {{"x", &x},
                                       {"gamma", &gamma},
                                       {"beta", &beta},
                                       {"running_mean", &running_mean},
                                       {"running_var", &running_var},
                                       {"other", &other},
                                       {"other_gamma", &other_gamma},
                                       {"other_beta", &other_beta},
                                       {"other_running_mean", &other_running_mean},
                                       {"other_running_var", &other_running_var},
                                       {"y", &y},
                                       {"mean", &mean},
                                       {"rstd", &rstd},
                                       {"other_mean", &other_mean},
                                       {"other_rstd", &other_rstd},
                                       {"workspace", &workspace}});
  check_join(op, x, other, {{"y", &y}},
             {{"gamma", &gamma},
              {"beta", &beta},
              {"running_mean", &running_mean},
              {"running_var", &running_var},
              {"other_gamma", &other_gamma},
              {"other_beta", &other_beta},
              {"other_running_mean", &other_running_mean},
              {"other_running_var", &other_running_var},
              {"mean", &mean},
              {"rstd", &rstd},
              {"other_mean", &other_mean},
              {"other_rstd", &other_rstd}});
  check_eps(op, eps);
  check_momentum(op, momentum);
  check_statistics(op, written, read);
  std::byte* const work =
      check_scratch(op, workspace, batch_norm_join_workspace(x.shape(), device));
  kernels::batch_norm_join_kernels(device).forward(
      x.shape().rows(), x.shape().back(),
      {x.data<float>(), gamma.data<float>(), beta.data<float>(), running_mean.data<float>(),
       running_var.data<float>(), mean.data<float>(), rstd.data<float>()},
      {other.data<float>(), other_gamma.data<float>(), other_beta.data<float>(),
       other_running_mean.data<float>(), other_running_var.data<float>(), other_mean.data<float>(),
       other_rstd.data<float>()},
      y.data<float>(), work, eps, momentum);
}

void batch_norm_join_backward(const Tensor& dy, const Tensor& y, const Tensor& x,
                              const Tensor& gamma, const Tensor& beta, const Tensor& mean,
                              const Tensor& rstd, const Tensor& other, const Tensor& other_gamma,
                              const Tensor& other_beta, const Tensor& other_mean,
                              const Tensor& other_rstd, const Tensor& dx, const Tensor& dgamma,
                              const Tensor& dbeta, const Tensor& dother, const Tensor& dother_gamma,
                              const Tensor& dother_beta, const Tensor& workspace) {
  const char* op = "batch_norm_join_backward";
  const std::initializer_list<Argument> read = {{"dy", &dy},
                                                {"y", &y},
                                                {"x", &x},
                                                {"gamma", &gamma},
                                                {"beta", &beta},
                                                {"mean", &mean},
                                                {"rstd", &rstd},
                                                {"other", &other},
                                                {"other_gamma", &other_gamma},
                                                {"other_beta", &other_beta},
                                                {"other_mean", &other_mean},
                                                {"other_rstd", &other_rstd}};
  const std::initializer_list<Argument> written = {{"dx", &dx},
                                                   {"dgamma", &dgamma},
                                                   {"dbeta", &dbeta},
                                                   {"dother", &dother},
                                                   {"dother_gamma", &dother_gamma},
                                                   {"dother_beta", &dother_beta}};
  const Device device = device_of(op, {{"dy", &dy},
                                       {"y", &y},
                                       {"x", &x},
                                       {"gamma", &gamma},
                                       {"beta", &beta},
                                       {"mean", &mean},
                                       {"rstd", &rstd},
                                       {"other", &other},
                                       {"other_gamma", &other_gamma},
                                       {"other_beta", &other_beta},
                                       {"other_mean", &other_mean},
                                       {"other_rstd", &other_rstd},
                                       {"dx", &dx},
                                       {"dgamma", &dgamma},
                                       {"dbeta", &dbeta},
                                       {"dother", &dother},
                                       {"dother_gamma", &dother_gamma},
                                       {"dother_beta", &dother_beta},
                                       {"workspace", &workspace}});
  check_join(op, x, other, {{"dy", &dy}, {"y", &y}, {"dx", &dx}, {"dother", &dother}},
             {{"gamma", &gamma},
              {"beta", &beta},
              {"mean", &mean},
              {"rstd", &rstd},
              {"other_gamma", &other_gamma},
              {"other_beta", &other_beta},
              {"other_mean", &other_mean},
              {"other_rstd", &other_rstd},
              {"dgamma", &dgamma},
              {"dbeta", &dbeta},
              {"dother_gamma", &dother_gamma},
              {"dother_beta", &dother_beta}});
  check_statistics(op, written, read);
  std::byte* const work =
      check_scratch(op, workspace, batch_norm_join_workspace(x.shape(), device));
  kernels::batch_norm_join_kernels(device).backward(
      x.shape().rows(), x.shape().back(), dy.data<float>(), y.data<float>(),
      {x.data<float>(), gamma.data<float>(), beta.data<float>(), mean.data<float>(),
       rstd.data<float>(), dx.data<float>(), dgamma.data<float>(), dbeta.data<float>()},
      {other.data<float>(), other_gamma.data<float>(), other_beta.data<float>(),
       other_mean.data<float>(), other_rstd.data<float>(), dother.data<float>(),
       dother_gamma.data<float>(), dother_beta.data<float>()},
      work);
}

}  // namespace sentei::ops
