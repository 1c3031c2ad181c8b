#include "ops/semi_sync_lazy.hpp"

#include "bindings/bindings.hpp"

namespace sentei::bindings {

void bind_semi_sync_lazy(py::module_& m) {
  m.def("semi_sync_update_lazy", &ops::semi_sync_update_lazy, py::arg("w"), py::arg("dw"),
        py::arg("v"), py::arg("coef"), py::arg("rows"), py::arg("offsets"), py::arg("group"),
        py::arg("lr"), py::arg("momentum"), py::arg("weight_decay"), py::arg("l2"),
        py::arg("workspace"), "Semi-synchronous update that touches the active rows alone",
        nogil());
  m.def("semi_sync_materialise", &ops::semi_sync_materialise, py::arg("w"), py::arg("v"),
        py::arg("coef"), py::arg("group_of"), "w += c v, v *= m, coef = (1, 0)", nogil());
  m.def("semi_sync_lazy_weight", &ops::semi_sync_lazy_weight, py::arg("w"), py::arg("v"),
        py::arg("coef"), py::arg("group_of"), py::arg("out"), "out = w + c v", nogil());
}

}  // namespace sentei::bindings
