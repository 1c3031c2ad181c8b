#include "ops/optimizers.hpp"

#include "bindings/bindings.hpp"

namespace sentei::bindings {

void bind_optimizers(py::module_& m) {
  m.def("sgd_update", &ops::sgd_update, py::arg("w"), py::arg("g"), py::arg("v").none(true),
        py::arg("lr"), py::arg("momentum"), py::arg("weight_decay"), py::arg("l2"),
        "v = momentum v - lr g; w += v", nogil());
  m.def("sgd_update_many", &ops::sgd_update_many, py::arg("lr"), py::arg("xs"), py::arg("with_v"),
        py::arg("momentum"), py::arg("weight_decay"), py::arg("l2"),
        "sgd_update of many parameters at once", nogil());
  m.def("adagrad_update", &ops::adagrad_update, py::arg("w"), py::arg("g"), py::arg("h"),
        py::arg("lr"), py::arg("eps"), py::arg("weight_decay"), py::arg("l2"),
        "h += g^2; w -= lr g / (sqrt(h) + eps)", nogil());
  m.def("rmsprop_update", &ops::rmsprop_update, py::arg("w"), py::arg("g"), py::arg("h"),
        py::arg("lr"), py::arg("alpha"), py::arg("eps"), py::arg("weight_decay"), py::arg("l2"),
        "h = alpha h + (1 - alpha) g^2; w -= lr g / sqrt(h + eps)", nogil());
  m.def("adam_update", &ops::adam_update, py::arg("w"), py::arg("g"), py::arg("m"), py::arg("v"),
        py::arg("t"), py::arg("lr"), py::arg("beta1"), py::arg("beta2"), py::arg("eps"),
        py::arg("eps_inside"), py::arg("weight_decay"), py::arg("l2"),
        "Adam with bias correction, t from 1", nogil());
}

}  // namespace sentei::bindings
