#include "ops/concat.hpp"

#include "bindings/bindings.hpp"

namespace sentei::bindings {

void bind_concat(py::module_& m) {
  m.def("concat_forward", &ops::concat_forward, py::arg("xs"), py::arg("y"),
        "y = xs joined along the last axis", nogil());
  m.def("channel_split_forward", &ops::channel_split_forward, py::arg("x"), py::arg("head"),
        py::arg("rest"), "x cut along the last axis", nogil());
}

}  // namespace sentei::bindings
