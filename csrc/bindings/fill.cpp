#include "ops/fill.hpp"

#include "bindings/bindings.hpp"

namespace sentei::bindings {

void bind_fill(py::module_& m) {
  m.def("fill_forward", &ops::fill_forward, py::arg("y"), py::arg("value"), "y = value", nogil());
}

}  // namespace sentei::bindings
