#include "bindings/bindings.hpp"
#include "ops/batch_norm_add.hpp"
#include "ops/batch_norm_join.hpp"
#include "ops/batch_norm_pool.hpp"

namespace sentei::bindings {

void bind_batch_norm_fused(py::module_& m) {
  using py::arg;
  m.def(
      "batch_norm_pool_workspace",
      [](const std::vector<std::int64_t>& x, Device device) {
        return ops::batch_norm_pool_workspace(shape_from(x), device);
      },
      arg("x"), arg("device") = Device::cpu, "Bytes of scratch for both passes.");
  m.def("batch_norm_pool_forward", &ops::batch_norm_pool_forward, arg("x"), arg("gamma"),
        arg("beta"), arg("running_mean"), arg("running_var"), arg("y"), arg("index"), arg("mean"),
        arg("rstd"), arg("workspace"), arg("eps"), arg("momentum"), arg("relu"),
        arg("batch_mean").none(true) = nullptr, arg("batch_var").none(true) = nullptr,
        "y = max over 2 x 2 windows of relu?(batch_norm(x))", nogil());
  m.def("batch_norm_pool_backward", &ops::batch_norm_pool_backward, arg("dy"), arg("index"),
        arg("x"), arg("gamma"), arg("mean"), arg("rstd"), arg("beta").none(true), arg("dx"),
        arg("dgamma"), arg("dbeta"), arg("workspace"), arg("relu"), "Gradients through both.",
        nogil());
  m.def(
      "batch_norm_add_workspace",
      [](const std::vector<std::int64_t>& x, Device device) {
        return ops::batch_norm_add_workspace(shape_from(x), device);
      },
      arg("x"), arg("device") = Device::cpu, "Bytes of scratch for both passes.");
  m.def("batch_norm_add_forward", &ops::batch_norm_add_forward, arg("x"), arg("other"),
        arg("gamma"), arg("beta"), arg("running_mean"), arg("running_var"), arg("y"), arg("mean"),
        arg("rstd"), arg("workspace"), arg("eps"), arg("momentum"),
        arg("batch_mean").none(true) = nullptr, arg("batch_var").none(true) = nullptr,
        "y = relu(batch_norm(x) + other)", nogil());
  m.def("batch_norm_add_backward", &ops::batch_norm_add_backward, arg("dy"), arg("y"), arg("x"),
        arg("gamma"), arg("mean"), arg("rstd"), arg("dx"), arg("dother"), arg("dgamma"),
        arg("dbeta"), arg("workspace"), "Gradients of both branches.", nogil());
  m.def(
      "batch_norm_join_workspace",
      [](const std::vector<std::int64_t>& x, Device device) {
        return ops::batch_norm_join_workspace(shape_from(x), device);
      },
      arg("x"), arg("device") = Device::cpu, "Bytes of scratch for both passes.");
  m.def("batch_norm_join_forward", &ops::batch_norm_join_forward, arg("x"), arg("gamma"),
        arg("beta"), arg("running_mean"), arg("running_var"), arg("other"), arg("other_gamma"),
        arg("other_beta"), arg("other_running_mean"), arg("other_running_var"), arg("y"),
        arg("mean"), arg("rstd"), arg("other_mean"), arg("other_rstd"), arg("workspace"),
        arg("eps"), arg("momentum"), "y = relu(batch_norm(x) + batch_norm(other))", nogil());
  m.def("batch_norm_join_backward", &ops::batch_norm_join_backward, arg("dy"), arg("y"), arg("x"),
        arg("gamma"), arg("beta"), arg("mean"), arg("rstd"), arg("other"), arg("other_gamma"),
        arg("other_beta"), arg("other_mean"), arg("other_rstd"), arg("dx"), arg("dgamma"),
        arg("dbeta"), arg("dother"), arg("dother_gamma"), arg("dother_beta"), arg("workspace"),
        "Gradients of both branches.", nogil());
}

}  // namespace sentei::bindings
