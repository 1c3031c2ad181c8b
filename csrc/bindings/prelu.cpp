#include "ops/prelu.hpp"

#include "bindings/bindings.hpp"

namespace sentei::bindings {

void bind_prelu(py::module_& m) {
  using py::arg;
  m.def("prelu_forward", &ops::prelu_forward, arg("x"), arg("a"), arg("y"),
        "y = x if x > 0 else a x", nogil());
  m.def("prelu_backward_workspace", &ops::prelu_backward_workspace, arg("n"),
        arg("device") = Device::cpu,
        "Bytes of scratch memory that prelu_backward needs for n elements.");
  m.def("prelu_backward", &ops::prelu_backward, arg("x"), arg("a"), arg("dy"), arg("dx"), arg("da"),
        arg("workspace"), "dx = dy if x > 0 else a dy; da = sum of x dy over x <= 0", nogil());
}

}  // namespace sentei::bindings
