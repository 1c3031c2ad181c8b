#include "ops/gate.hpp"

#include "bindings/bindings.hpp"

namespace sentei::bindings {

void bind_gate(py::module_& m) {
  using py::arg;
  m.def("gate_forward", &ops::gate_forward, arg("m"), arg("h"), arg("kind"), arg("alpha"),
        "h(m) of auxiliary variables", nogil());
  m.def("gate_backward", &ops::gate_backward, arg("m"), arg("dh"), arg("dm"), arg("kind"),
        arg("alpha"), "dm = slope(m) dh", nogil());
  m.def("gate_clip", &ops::gate_clip, arg("m"), arg("bound"), "m within +-bound, in place",
        nogil());
  m.def("gate_weights_forward", &ops::gate_weights_forward, arg("w"), arg("h"), arg("y"),
        "y = w h, a factor for each row or each weight", nogil());
  m.def("gate_weights_backward", &ops::gate_weights_backward, arg("dy"), arg("w"), arg("h"),
        arg("dw"), arg("dh"), arg("estimator"), "dw = dy h, dh = sum dy w or sum dy sign(w)",
        nogil());
  m.def("gate_penalty_forward", &ops::gate_penalty_forward, arg("h"), arg("value"), arg("lam"),
        "value = lam mean(h)", nogil());
  m.def("gate_penalty_backward", &ops::gate_penalty_backward, arg("dvalue"), arg("dh"), arg("lam"),
        "dh = lam dvalue / n", nogil());
}

}  // namespace sentei::bindings
