#include "ops/conv2d.hpp"

#include "bindings/bindings.hpp"
#include "ops/conv2d_packed.hpp"
#include "ops/conv2d_statistics.hpp"

namespace sentei::bindings {
namespace {

using Pair = std::pair<int, int>;
using Dims = std::vector<std::int64_t>;

Conv2dGeometry geometry(const Dims& x, const Dims& w, Pair stride, Pair padding, Pair dilation) {
  return ops::conv2d_check(shape_from(x), shape_from(w),
                           {stride.first, stride.second, padding.first, padding.second,
                            dilation.first, dilation.second});
}

ops::Conv2dAttrs attrs(Pair stride, Pair padding, Pair dilation, Precision precision) {
  return {stride.first,   stride.second,   padding.first, padding.second,
          dilation.first, dilation.second, precision};
}

}  // namespace

void bind_conv2d(py::module_& m) {
  m.def(
      "conv2d_geometry",
      [](const Dims& x, const Dims& w, Pair stride, Pair padding, Pair dilation) {
        const Conv2dGeometry g = geometry(x, w, stride, padding, dilation);
        return py::make_tuple(g.N, g.P, g.Q, g.K);
      },
      py::arg("x"), py::arg("w"), py::arg("stride"), py::arg("padding"), py::arg("dilation"),
      "Shape (N, P, Q, K) of the output; raises ShapeError.");
  m.def(
      "conv2d_workspace",
      [](const std::string& pass, const Dims& x, const Dims& w, Pair stride, Pair padding,
         Pair dilation, Precision precision, Device device) {
        return ops::conv2d_workspace(pass, geometry(x, w, stride, padding, dilation), precision,
                                     device);
      },
      py::arg("pass_"), py::arg("x"), py::arg("w"), py::arg("stride"), py::arg("padding"),
      py::arg("dilation"), py::arg("precision") = Precision::float32,
      py::arg("device") = Device::cpu, "Bytes of scratch for forward, backward_input or _weight.");
  m.def(
      "conv2d_forward",
      [](const Tensor& x, const Tensor& w, const Tensor* b, const Tensor& y, const Tensor* ws,
         Pair stride, Pair padding, Pair dilation, bool relu, Precision precision) {
        ops::conv2d_forward(x, w, b, y, ws, attrs(stride, padding, dilation, precision), relu);
      },
      py::arg("x"), py::arg("w"), py::arg("b").none(true), py::arg("y"),
      py::arg("workspace").none(true), py::arg("stride"), py::arg("padding"), py::arg("dilation"),
      py::arg("relu"), py::arg("precision") = Precision::float32, "y = relu?(x * w + b)", nogil());
  m.def(
      "conv2d_packing",
      [](const Dims& x, const Dims& w, Pair stride, Pair padding, Pair dilation,
         Precision precision, Device device) {
        const auto p =
            ops::conv2d_packing(geometry(x, w, stride, padding, dilation), precision, device);
        return py::make_tuple(p.method, p.bytes, p.workspace);
      },
      py::arg("x"), py::arg("w"), py::arg("stride"), py::arg("padding"), py::arg("dilation"),
      py::arg("precision") = Precision::float32, py::arg("device") = Device::cpu,
      "Method, bytes of the packed filter (0: none is used), bytes of scratch with it.");
  m.def(
      "conv2d_pack",
      [](const Tensor& w, const Tensor& packed, const Dims& x, Pair stride, Pair padding,
         Pair dilation, Precision precision) {
        ops::conv2d_pack(w, packed, shape_from(x), attrs(stride, padding, dilation, precision));
      },
      py::arg("w"), py::arg("packed"), py::arg("x"), py::arg("stride"), py::arg("padding"),
      py::arg("dilation"), py::arg("precision") = Precision::float32,
      "The filter in the order that conv2d_packed_forward reads, for x of this shape.", nogil());
  m.def(
      "conv2d_packed_forward",
      [](const Tensor& x, const Tensor& packed, const Dims& w, const Tensor* b, const Tensor& y,
         const Tensor* ws, Pair stride, Pair padding, Pair dilation, bool relu,
         Precision precision) {
        ops::conv2d_packed_forward(x, packed, shape_from(w), b, y, ws,
                                   attrs(stride, padding, dilation, precision), relu);
      },
      py::arg("x"), py::arg("packed"), py::arg("w"), py::arg("b").none(true), py::arg("y"),
      py::arg("workspace").none(true), py::arg("stride"), py::arg("padding"), py::arg("dilation"),
      py::arg("relu"), py::arg("precision") = Precision::float32,
      "conv2d_forward with a filter of shape w that conv2d_pack has packed.", nogil());
  m.def(
      "conv2d_backward_input",
      [](const Tensor& dy, const Tensor& w, const Tensor& dx, const Tensor* ws, Pair stride,
         Pair padding, Pair dilation, Precision precision) {
        ops::conv2d_backward_input(dy, w, dx, ws, attrs(stride, padding, dilation, precision));
      },
      py::arg("dy"), py::arg("w"), py::arg("dx"), py::arg("workspace").none(true),
      py::arg("stride"), py::arg("padding"), py::arg("dilation"),
      py::arg("precision") = Precision::float32, "Gradient of the input.", nogil());
  m.def(
      "conv2d_backward_weight",
      [](const Tensor& x, const Tensor& dy, const Tensor& dw, const Tensor* ws, Pair stride,
         Pair padding, Pair dilation, Precision precision) {
        ops::conv2d_backward_weight(x, dy, dw, ws, attrs(stride, padding, dilation, precision));
      },
      py::arg("x"), py::arg("dy"), py::arg("dw"), py::arg("workspace").none(true),
      py::arg("stride"), py::arg("padding"), py::arg("dilation"),
      py::arg("precision") = Precision::float32, "Gradient of the filters.", nogil());
  m.def(
      "conv2d_statistics_workspace",
      [](const Dims& x, const Dims& w, Pair stride, Pair padding, Pair dilation,
         Precision precision, Device device) {
        return ops::conv2d_statistics_workspace(geometry(x, w, stride, padding, dilation),
                                                precision, device);
      },
      py::arg("x"), py::arg("w"), py::arg("stride"), py::arg("padding"), py::arg("dilation"),
      py::arg("precision") = Precision::float32, py::arg("device") = Device::cpu,
      "Bytes of scratch for conv2d_statistics_forward.");
  m.def(
      "conv2d_statistics_forward",
      [](const Tensor& x, const Tensor& w, const Tensor* b, const Tensor& y, const Tensor& mean,
         const Tensor& var, const Tensor* ws, Pair stride, Pair padding, Pair dilation,
         Precision precision) {
        ops::conv2d_statistics_forward(x, w, b, y, mean, var, ws,
                                       attrs(stride, padding, dilation, precision));
      },
      py::arg("x"), py::arg("w"), py::arg("b").none(true), py::arg("y"), py::arg("mean"),
      py::arg("var"), py::arg("workspace").none(true), py::arg("stride"), py::arg("padding"),
      py::arg("dilation"), py::arg("precision") = Precision::float32,
      "y = x * w + b, mean and biased variance of its channels", nogil());
}

}  // namespace sentei::bindings
