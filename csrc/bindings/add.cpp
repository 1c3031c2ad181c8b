#include "ops/add.hpp"

#include "bindings/bindings.hpp"

namespace sentei::bindings {

void bind_add(py::module_& m) {
  m.def("add_forward", &ops::add_forward, py::arg("a"), py::arg("b"), py::arg("y"),
        py::arg("relu") = false, "y = a + b, or relu(a + b)", nogil());
}

}  // namespace sentei::bindings
