#include "ops/linear.hpp"

#include "bindings/bindings.hpp"

namespace sentei::bindings {

void bind_linear(py::module_& m) {
  m.def("linear_workspace", &ops::linear_workspace, py::arg("pass_"), py::arg("n"), py::arg("i"),
        py::arg("o"), py::arg("precision") = Precision::float32, py::arg("device") = Device::cpu,
        "Bytes of scratch for forward, backward_input or backward_weight.");
  m.def("linear_forward", &ops::linear_forward, py::arg("x"), py::arg("w"), py::arg("b").none(true),
        py::arg("y"), py::arg("workspace").none(true), py::arg("relu"),
        py::arg("precision") = Precision::float32, "y = relu?(x w^T + b)", nogil());
  m.def("linear_backward_input", &ops::linear_backward_input, py::arg("dy"), py::arg("w"),
        py::arg("dx"), py::arg("workspace").none(true), py::arg("precision") = Precision::float32,
        "dx = dy w", nogil());
  m.def("linear_backward_weight", &ops::linear_backward_weight, py::arg("x"), py::arg("dy"),
        py::arg("dw"), py::arg("workspace").none(true), py::arg("precision") = Precision::float32,
        "dw = dy^T x", nogil());
  m.def("linear_backward_weight_rows", &ops::linear_backward_weight_rows, py::arg("x"),
        py::arg("dy"), py::arg("rows"), py::arg("offsets"), py::arg("group"), py::arg("dw"),
        py::arg("workspace").none(true), py::arg("precision") = Precision::float32,
        "Rows of dw that belong to the active group.", nogil());
}

}  // namespace sentei::bindings
