#include "ops/score_from_gradients.hpp"

#include "bindings/bindings.hpp"

namespace sentei::bindings {

void bind_score_from_gradients(py::module_& m) {
  m.def("score_from_gradients", &ops::score_from_gradients, py::arg("stats"), py::arg("rows"),
        py::arg("bias"), "v = sum w dw + b db per row; stats += v, v^2", nogil());
}

}  // namespace sentei::bindings
