#include "ops/pool2d.hpp"

#include <array>
#include <string>

#include "bindings/bindings.hpp"
#include "ops/avg_pool2d.hpp"
#include "ops/max_pool2d.hpp"

namespace sentei::bindings {
namespace {

using Two = std::array<std::int64_t, 2>;

ops::Pair pair(const Two& t) { return {t[0], t[1]}; }

std::vector<std::int64_t> geometry(const std::string& op, const std::vector<std::int64_t>& x,
                                   const Two& kernel, const Two& stride, const Two& padding,
                                   bool ceil_mode) {
  return dims_of(ops::pool2d_geometry(op.c_str(), shape_from(x), pair(kernel), pair(stride),
                                      pair(padding), ceil_mode));
}

void max_forward(const Tensor& x, const Tensor& y, const Tensor& index, const Two& kernel,
                 const Two& stride, const Two& padding, bool ceil_mode) {
  ops::max_pool2d_forward(x, y, index, pair(kernel), pair(stride), pair(padding), ceil_mode);
}

void max_backward(const Tensor& dy, const Tensor& index, const Tensor& dx, const Two& kernel,
                  const Two& stride, const Two& padding, bool ceil_mode) {
  ops::max_pool2d_backward(dy, index, dx, pair(kernel), pair(stride), pair(padding), ceil_mode);
}

void avg_forward(const Tensor& x, const Tensor& y, const Two& kernel, const Two& stride) {
  ops::avg_pool2d_forward(x, y, pair(kernel), pair(stride));
}

void avg_backward(const Tensor& dy, const Tensor& dx, const Two& kernel, const Two& stride) {
  ops::avg_pool2d_backward(dy, dx, pair(kernel), pair(stride));
}

}  // namespace

void bind_pool2d(py::module_& m) {
  using py::arg;
  m.def("pool2d_geometry", &geometry, arg("op"), arg("x"), arg("kernel"), arg("stride"),
        arg("padding"), arg("ceil_mode"), "Output shape (N, P, Q, C) of pooling x (N, H, W, C).");
  m.def("max_pool2d_forward", &max_forward, arg("x"), arg("y"), arg("index"), arg("kernel"),
        arg("stride"), arg("padding"), arg("ceil_mode"), "Largest element of each window", nogil());
  m.def("max_pool2d_backward", &max_backward, arg("dy"), arg("index"), arg("dx"), arg("kernel"),
        arg("stride"), arg("padding"), arg("ceil_mode"), "Gradient of max_pool2d_forward", nogil());
  m.def("avg_pool2d_forward", &avg_forward, arg("x"), arg("y"), arg("kernel"), arg("stride"),
        "Mean of each window", nogil());
  m.def("avg_pool2d_backward", &avg_backward, arg("dy"), arg("dx"), arg("kernel"), arg("stride"),
        "Gradient of avg_pool2d_forward", nogil());
  m.def("global_avg_pool_forward", &ops::global_avg_pool_forward, arg("x"), arg("y"),
        "Mean over the image", nogil());
  m.def("global_avg_pool_backward", &ops::global_avg_pool_backward, arg("dy"), arg("dx"),
        "Gradient of global_avg_pool_forward", nogil());
}

}  // namespace sentei::bindings
