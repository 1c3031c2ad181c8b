#include "ops/discriminant_penalty.hpp"

#include "bindings/bindings.hpp"

namespace sentei::bindings {

void bind_discriminant_penalty(py::module_& m) {
  using py::arg;
  m.def("discriminant_penalty_workspace", &ops::discriminant_penalty_workspace, arg("classes"),
        "Bytes of scratch memory that both functions need.");
  m.def("discriminant_penalty_forward", &ops::discriminant_penalty_forward, arg("y"), arg("labels"),
        arg("value"), arg("within"), arg("total"), arg("ratio"), arg("lam"), arg("workspace"),
        "value = lam sum of W / T over the classes", nogil());
  m.def("discriminant_penalty_backward", &ops::discriminant_penalty_backward, arg("y"),
        arg("labels"), arg("dvalue"), arg("dy"), arg("lam"), arg("workspace"),
        "dy = dvalue lam 2 / (N T) ((y - m) - W / T (y - mu))", nogil());
}

}  // namespace sentei::bindings
