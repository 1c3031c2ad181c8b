#include "ops/losses.hpp"

#include "bindings/bindings.hpp"

namespace sentei::bindings {

void bind_losses(py::module_& m) {
  m.def("elementwise_loss_forward", &ops::elementwise_loss_forward, py::arg("y"), py::arg("t"),
        py::arg("loss"), py::arg("per_sample"), py::arg("grad"), py::arg("kind"),
        py::arg("parameter"), py::arg("mean"), "Losses on outputs and targets of one shape",
        nogil());
  m.def("loss_backward", &ops::loss_backward, py::arg("grad"), py::arg("dloss"), py::arg("dx"),
        py::arg("mean"), "dx = grad dloss (/ N)", nogil());
}

}  // namespace sentei::bindings
