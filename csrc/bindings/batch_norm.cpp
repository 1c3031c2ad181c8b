#include "ops/batch_norm.hpp"

#include "bindings/bindings.hpp"

namespace sentei::bindings {

void bind_batch_norm(py::module_& m) {
  using py::arg;
  m.def(
      "batch_norm_workspace",
      [](const std::vector<std::int64_t>& x, Device device) {
        return ops::batch_norm_workspace(shape_from(x), device);
      },
      arg("x"), arg("device") = Device::cpu,
      "Scratch bytes of the batch norm functions for an input of this shape.");
  m.def("batch_norm_forward", &ops::batch_norm_forward, arg("x"), arg("gamma"), arg("beta"),
        arg("running_mean"), arg("running_var"), arg("y"), arg("mean"), arg("rstd"),
        arg("workspace"), arg("eps"), arg("momentum"), arg("relu"),
        arg("batch_mean").none(true) = nullptr, arg("batch_var").none(true) = nullptr,
        "y = (x - mean) gamma rstd + beta with batch statistics", nogil());
  m.def("batch_norm_backward", &ops::batch_norm_backward, arg("dy"), arg("x"), arg("gamma"),
        arg("mean"), arg("rstd"), arg("beta"), arg("dx"), arg("dgamma"), arg("dbeta"),
        arg("workspace"), arg("relu"), "Gradient of batch_norm_forward", nogil());
  m.def("batch_norm_inference_forward", &ops::batch_norm_inference_forward, arg("x"), arg("gamma"),
        arg("beta"), arg("mean"), arg("var"), arg("y"), arg("workspace"), arg("eps"), arg("relu"),
        "y = (x - mean) gamma / sqrt(var + eps) + beta", nogil());
  m.def("batch_norm_inference_backward", &ops::batch_norm_inference_backward, arg("dy"), arg("x"),
        arg("gamma"), arg("mean"), arg("var"), arg("beta"), arg("dx"), arg("dgamma"), arg("dbeta"),
        arg("workspace"), arg("eps"), arg("relu"), "Gradient of batch_norm_inference_forward",
        nogil());
  m.def("batch_norm_inference_backward_input", &ops::batch_norm_inference_backward_input, arg("dy"),
        arg("gamma"), arg("var"), arg("x"), arg("mean"), arg("beta"), arg("dx"), arg("workspace"),
        arg("eps"), arg("relu"), "dx alone of batch_norm_inference_forward", nogil());
}

}  // namespace sentei::bindings
