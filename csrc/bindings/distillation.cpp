#include "ops/distillation.hpp"

#include "bindings/bindings.hpp"

namespace sentei::bindings {

void bind_distillation(py::module_& m) {
  m.def("distillation_forward", &ops::distillation_forward, py::arg("logits"), py::arg("labels"),
        py::arg("teacher"), py::arg("loss"), py::arg("per_sample"), py::arg("dlogits"),
        py::arg("correct"), py::arg("mean"), py::arg("alpha"), py::arg("temperature"),
        "(1 - alpha) cross-entropy + alpha T^2 KL(teacher || logits), both softened by T", nogil());
}

}  // namespace sentei::bindings
