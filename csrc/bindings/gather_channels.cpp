#include "ops/gather_channels.hpp"

#include "bindings/bindings.hpp"

namespace sentei::bindings {

void bind_gather_channels(py::module_& m) {
  m.def("gather_channels_forward", &ops::gather_channels_forward, py::arg("x"), py::arg("rows"),
        py::arg("offsets"), py::arg("group"), py::arg("y"),
        "Channels of the active group, side by side", nogil());
}

}  // namespace sentei::bindings
