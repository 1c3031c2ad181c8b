#include "ops/scores.hpp"

#include "bindings/bindings.hpp"

namespace sentei::bindings {

void bind_scores(py::module_& m) {
  m.def("score_accumulate", &ops::score_accumulate, py::arg("x"), py::arg("g").none(true),
        py::arg("stats"), py::arg("sum_x").none(true), py::arg("sum_g").none(true),
        py::arg("workspace"), "Sums over samples for pruning scores", nogil());
  m.def("trace_accumulate", &ops::trace_accumulate, py::arg("x"), py::arg("mean_g"),
        py::arg("stats"), py::arg("workspace"), "Sums over samples of (x . mean_g)^2", nogil());
  m.def(
      "score_workspace",
      [](const std::vector<std::int64_t>& shape, std::int64_t rows, Device device) {
        const Shape x = shape_from(shape);
        SENTEI_CHECK(ShapeError, x.rank >= 2,
                     "score_workspace: x must have shape (N, H, W, C) or (N, C), got ", x);
        return ops::score_workspace(x, rows, device);
      },
      py::arg("shape"), py::arg("rows"), py::arg("device") = Device::cpu,
      "Bytes of workspace of the two");
}

}  // namespace sentei::bindings
