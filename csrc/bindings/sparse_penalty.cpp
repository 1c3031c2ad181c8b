#include "ops/sparse_penalty.hpp"

#include "bindings/bindings.hpp"

namespace sentei::bindings {

void bind_sparse_penalty(py::module_& m) {
  using py::arg;
  m.def("sparse_penalty_workspace", &ops::sparse_penalty_workspace, arg("shape"), arg("form"),
        arg("device") = Device::cpu,
        "Bytes of scratch memory that sparse_penalty_forward needs for u of this shape.");
  m.def("sparse_penalty_forward", &ops::sparse_penalty_forward, arg("u"), arg("value"), arg("lam"),
        arg("form"), arg("workspace"), "value = lam / (N D) sum log(1 + u^2)", nogil());
  m.def("sparse_penalty_backward", &ops::sparse_penalty_backward, arg("u"), arg("dvalue"),
        arg("du"), arg("lam"), arg("form"), "du = dvalue lam / (N D) 2u / (1 + u^2)", nogil());
}

}  // namespace sentei::bindings
