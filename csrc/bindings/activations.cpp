#include "ops/activations.hpp"

#include "bindings/bindings.hpp"

namespace sentei::bindings {

void bind_activations(py::module_& m) {
  using py::arg;
  m.def("relu_forward", &ops::relu_forward, arg("x"), arg("y"), "y = max(x, 0)", nogil());
  m.def("relu_backward", &ops::relu_backward, arg("y"), arg("dy"), arg("dx"),
        "dx = dy if y > 0 else 0", nogil());
  m.def("leaky_relu_forward", &ops::leaky_relu_forward, arg("x"), arg("y"), arg("alpha"),
        "y = x if x > 0 else alpha x", nogil());
  m.def("leaky_relu_backward", &ops::leaky_relu_backward, arg("y"), arg("dy"), arg("dx"),
        arg("alpha"), "dx = dy if y > 0 else alpha dy", nogil());
  m.def("elu_forward", &ops::elu_forward, arg("x"), arg("y"), arg("alpha"),
        "y = x if x > 0 else alpha (exp(x) - 1)", nogil());
  m.def("elu_backward", &ops::elu_backward, arg("y"), arg("dy"), arg("dx"), arg("alpha"),
        "dx = dy if y > 0 else dy (y + alpha)", nogil());
  m.def("clip_forward", &ops::clip_forward, arg("x"), arg("y"), arg("low"), arg("high"),
        "y = min(max(x, low), high)", nogil());
  m.def("clip_backward", &ops::clip_backward, arg("y"), arg("dy"), arg("dx"), arg("low"),
        arg("high"), "dx = dy if low < y < high else 0", nogil());
  m.def("logistic_forward", &ops::logistic_forward, arg("x"), arg("y"), "y = 1 / (1 + exp(-x))",
        nogil());
  m.def("logistic_backward", &ops::logistic_backward, arg("y"), arg("dy"), arg("dx"),
        "dx = dy y (1 - y)", nogil());
  m.def("tanh_forward", &ops::tanh_forward, arg("x"), arg("y"), "y = tanh(x)", nogil());
  m.def("tanh_backward", &ops::tanh_backward, arg("y"), arg("dy"), arg("dx"), "dx = dy (1 - y^2)",
        nogil());
  m.def("softplus_forward", &ops::softplus_forward, arg("x"), arg("y"), "y = log(1 + exp(x))",
        nogil());
  m.def("softplus_backward", &ops::softplus_backward, arg("x"), arg("dy"), arg("dx"),
        "dx = dy / (1 + exp(-x))", nogil());
  m.def("step_forward", &ops::step_forward, arg("x"), arg("y"), "y = 1 if x > 0 else 0", nogil());
}

}  // namespace sentei::bindings
