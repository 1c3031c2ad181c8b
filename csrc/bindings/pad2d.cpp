#include "ops/pad2d.hpp"

#include <array>
#include <string>

#include "bindings/bindings.hpp"

namespace sentei::bindings {
namespace {

using Four = std::array<std::int64_t, 4>;

ops::Border border(const Four& pads) { return {pads[0], pads[1], pads[2], pads[3]}; }

std::vector<std::int64_t> geometry(const std::string& op, const std::vector<std::int64_t>& x,
                                   const Four& pads) {
  return dims_of(ops::pad2d_geometry(op.c_str(), shape_from(x), border(pads)));
}

void forward(const Tensor& x, const Tensor& y, const Four& pads, bool lowest) {
  ops::pad2d_forward(x, y, border(pads), lowest);
}

void backward(const Tensor& dy, const Tensor& dx, const Four& pads) {
  ops::pad2d_backward(dy, dx, border(pads));
}

}  // namespace

void bind_pad2d(py::module_& m) {
  using py::arg;
  m.def("pad2d_geometry", &geometry, arg("op"), arg("x"), arg("pads"),
        "Output shape (N, P, Q, C) of a border (top, left, bottom, right) around x (N, H, W, C).");
  m.def("pad2d_forward", &forward, arg("x"), arg("y"), arg("pads"), arg("lowest"),
        "x with a border of 0, or of -infinity", nogil());
  m.def("pad2d_backward", &backward, arg("dy"), arg("dx"), arg("pads"), "The middle of dy",
        nogil());
}

}  // namespace sentei::bindings
