#include "ops/semi_sync_adaptive.hpp"

#include <pybind11/stl.h>

#include "bindings/bindings.hpp"

namespace sentei::bindings {

void bind_semi_sync_adaptive(py::module_& m) {
  m.def("semi_sync_adaptive_update", &ops::semi_sync_adaptive_update, py::arg("w"), py::arg("dw"),
        py::arg("h"), py::arg("v").none(true), py::arg("count").none(true), py::arg("rows"),
        py::arg("offsets"), py::arg("group"), py::arg("lr"), py::arg("rule"), py::arg("beta1"),
        py::arg("beta2"), py::arg("eps"), py::arg("eps_inside"), py::arg("weight_decay"),
        py::arg("l2"), py::arg("compact"), py::arg("workspace"),
        "AdaGrad, RMSprop or Adam on the rows of the active group", nogil());
}

}  // namespace sentei::bindings
