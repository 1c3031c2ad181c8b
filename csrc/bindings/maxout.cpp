#include "ops/maxout.hpp"

#include "bindings/bindings.hpp"

namespace sentei::bindings {

void bind_maxout(py::module_& m) {
  using py::arg;
  m.def("maxout_forward", &ops::maxout_forward, arg("x"), arg("y"), arg("index"), arg("pieces"),
        "y = max over the pieces of each unit; index = the first piece that has it", nogil());
  m.def("maxout_backward", &ops::maxout_backward, arg("dy"), arg("index"), arg("dx"), arg("pieces"),
        "dx = dy at the winning piece, else 0", nogil());
}

}  // namespace sentei::bindings
