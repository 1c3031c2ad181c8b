#include "ops/vmath.hpp"

#include "bindings/bindings.hpp"

namespace sentei::bindings {

void bind_vmath(py::module_& m) {
  m.def("vmath", &ops::vmath, py::arg("name"), py::arg("isa"), py::arg("x"), py::arg("y"),
        "A vector function of one tier, for tests.", nogil());
}

}  // namespace sentei::bindings
