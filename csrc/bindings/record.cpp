#include "ops/record.hpp"

#include "bindings/bindings.hpp"

namespace sentei::bindings {

void bind_record(py::module_& m) {
  m.def("record_append", &ops::record_append, py::arg("total"), py::arg("loss"),
        py::arg("correct").none(true), py::arg("log"), py::arg("at"),
        "log[at] = (total, loss, correct); at = (at + 1) % rows", nogil());
}

}  // namespace sentei::bindings
