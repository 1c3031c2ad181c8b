#include "ops/softmax.hpp"

#include "bindings/bindings.hpp"

namespace sentei::bindings {

void bind_softmax(py::module_& m) {
  using py::arg;
  m.def("softmax_forward", &ops::softmax_forward, arg("x"), arg("y"),
        "y = exp(x) / sum exp(x) over the last axis", nogil());
  m.def("softmax_backward", &ops::softmax_backward, arg("y"), arg("dy"), arg("dx"),
        "dx = y (dy - sum y dy)", nogil());
}

}  // namespace sentei::bindings
