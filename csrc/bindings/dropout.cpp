#include "ops/dropout.hpp"

#include "bindings/bindings.hpp"

namespace sentei::bindings {

void bind_dropout(py::module_& m) {
  using py::arg;
  m.def("dropout_forward", &ops::dropout_forward, arg("x"), arg("rng"), arg("y"), arg("keep"),
        arg("stream"), arg("inverted"), "y = x mask, or x mask / keep", nogil());
  m.def("dropout_backward", &ops::dropout_backward, arg("dy"), arg("rng"), arg("dx"), arg("keep"),
        arg("stream"), arg("inverted"), "dx = dy mask, or dy mask / keep", nogil());
  m.def("dropout_mask", &ops::dropout_mask, arg("rng"), arg("mask"), arg("keep"), arg("stream"),
        "The mask of dropout_forward: 1 where kept, else 0.", nogil());
  m.def("scale_forward", &ops::scale_forward, arg("x"), arg("y"), arg("factor"), "y = x factor",
        nogil());
  m.def("mask_multiply_forward", &ops::mask_multiply_forward, arg("x"), arg("mask"), arg("y"),
        arg("factor"), "y = x mask factor", nogil());
}

}  // namespace sentei::bindings
