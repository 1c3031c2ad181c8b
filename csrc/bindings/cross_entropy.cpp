#include "ops/cross_entropy.hpp"

#include "bindings/bindings.hpp"

namespace sentei::bindings {

void bind_cross_entropy(py::module_& m) {
  m.def("softmax_cross_entropy_forward", &ops::softmax_cross_entropy_forward, py::arg("logits"),
        py::arg("labels"), py::arg("loss"), py::arg("per_sample"), py::arg("dlogits"),
        py::arg("correct"), py::arg("mean"), "-log softmax(logits)[label]", nogil());
  m.def("sigmoid_cross_entropy_forward", &ops::sigmoid_cross_entropy_forward, py::arg("logits"),
        py::arg("labels"), py::arg("loss"), py::arg("per_sample"), py::arg("dlogits"),
        py::arg("correct"), py::arg("mean"), "Binary cross-entropy summed over the classes",
        nogil());
}

}  // namespace sentei::bindings
