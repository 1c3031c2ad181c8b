#include "ops/gather_batch.hpp"

#include "bindings/bindings.hpp"

namespace sentei::bindings {

void bind_gather_batch(py::module_& m) {
  m.def("gather_batch_forward", &ops::gather_batch_forward, py::arg("images"), py::arg("plan"),
        py::arg("scale"), py::arg("shift"), py::arg("x"), "x = scale * images[plan] + shift",
        nogil());
}

}  // namespace sentei::bindings
