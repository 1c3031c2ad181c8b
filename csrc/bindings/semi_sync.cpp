#include "ops/semi_sync.hpp"

#include "bindings/bindings.hpp"

namespace sentei::bindings {

void bind_semi_sync(py::module_& m) {
  m.def("semi_sync_update", &ops::semi_sync_update, py::arg("w"), py::arg("dw"),
        py::arg("v").none(true), py::arg("rows"), py::arg("offsets"), py::arg("group"),
        py::arg("lr"), py::arg("momentum"), py::arg("weight_decay"), py::arg("l2"),
        py::arg("compact"), py::arg("workspace"),
        "SGD with momentum whose gradient acts on the rows of the active group", nogil());
  m.def("counter_advance", &ops::counter_advance, py::arg("counter"), py::arg("modulo"),
        "counter = (counter + 1) mod modulo", nogil());
}

}  // namespace sentei::bindings
