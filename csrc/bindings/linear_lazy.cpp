#include "ops/linear_lazy.hpp"

#include "bindings/bindings.hpp"

namespace sentei::bindings {

void bind_linear_lazy(py::module_& m) {
  m.def("linear_lazy_workspace", &ops::linear_lazy_workspace, py::arg("pass_"), py::arg("n"),
        py::arg("i"), py::arg("o"), py::arg("precision") = Precision::float32,
        py::arg("device") = Device::cpu, "Bytes of scratch for forward or backward_input.");
  m.def("linear_lazy_forward", &ops::linear_lazy_forward, py::arg("x"), py::arg("w"), py::arg("v"),
        py::arg("coef"), py::arg("group_of"), py::arg("b").none(true), py::arg("y"),
        py::arg("workspace").none(true), py::arg("relu"), py::arg("precision") = Precision::float32,
        "y = relu?(x (w + c v)^T + b), c by the group of the row", nogil());
  m.def("linear_lazy_backward_input", &ops::linear_lazy_backward_input, py::arg("dy"), py::arg("w"),
        py::arg("v"), py::arg("coef"), py::arg("group_of"), py::arg("dx"),
        py::arg("workspace").none(true), py::arg("precision") = Precision::float32,
        "dx = dy (w + c v)", nogil());
}

}  // namespace sentei::bindings
