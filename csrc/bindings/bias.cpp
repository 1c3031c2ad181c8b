#include "ops/bias.hpp"

#include "bindings/bindings.hpp"

namespace sentei::bindings {

void bind_bias(py::module_& m) {
  m.def("bias_workspace", &ops::bias_workspace, py::arg("rows"), py::arg("columns"),
        py::arg("device") = Device::cpu, "Bytes of scratch for bias_backward.");
  m.def("bias_backward", &ops::bias_backward, py::arg("dy"), py::arg("db"),
        py::arg("workspace").none(true), "db[k] = sum of dy over all axes but the last.", nogil());
}

}  // namespace sentei::bindings
