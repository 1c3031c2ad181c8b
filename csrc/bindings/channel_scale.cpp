#include "ops/channel_scale.hpp"

#include "bindings/bindings.hpp"

namespace sentei::bindings {

void bind_channel_scale(py::module_& m) {
  using py::arg;
  m.def(
      "channel_scale_workspace",
      [](const std::vector<std::int64_t>& x, Device device) {
        return ops::channel_scale_workspace(shape_from(x), device);
      },
      arg("x"), arg("device") = Device::cpu,
      "Scratch bytes of the channel_scale functions for an input of this shape.");
  m.def("channel_scale_forward", &ops::channel_scale_forward, arg("x"), arg("m"), arg("y"),
        arg("workspace"), "y = x m per channel", nogil());
  m.def("channel_scale_backward", &ops::channel_scale_backward, arg("dy"), arg("x"), arg("m"),
        arg("dx"), arg("dm"), arg("workspace"), "dx = dy m, dm = sum dy x", nogil());
}

}  // namespace sentei::bindings
