#include "ops/conv2d.hpp"

#include <algorithm>

#include "kernels/conv2d.hpp"
#include "ops/checks.hpp"

namespace sentei {

Conv2dGeometry conv2d_geometry(const std::int64_t x[4], const std::int64_t w[4], int stride_h,
                               int stride_w, int padding_h, int padding_w, int dilation_h,
                               int dilation_w) {
  Conv2dGeometry g{};
  g.N = x[0], g.H = x[1], g.W = x[2], g.C = x[3];
  g.K = w[0], g.R = w[1], g.S = w[2];
  g.G = g.C / w[3];
  g.P = (g.H + std::int64_t{2} * padding_h - dilation_h * (g.R - 1) - 1) / stride_h + 1;
  g.Q = (g.W + std::int64_t{2} * padding_w - dilation_w * (g.S - 1) - 1) / stride_w + 1;
  g.stride_h = stride_h, g.stride_w = stride_w;
  g.padding_h = padding_h, g.padding_w = padding_w;
  g.dilation_h = dilation_h, g.dilation_w = dilation_w;
  return g;
}

}  // namespace sentei

namespace sentei::ops {
namespace {

Conv2dGeometry geometry_of(const Shape& x, const Shape& w, const Conv2dAttrs& a) {
  return conv2d_geometry(x.dims.data(), w.dims.data(), a.stride_h, a.stride_w, a.padding_h,
                         a.padding_w, a.dilation_h, a.dilation_w);
}

// Whether the product of sizes, each at least 1, stays below 2^31.
bool fits(std::initializer_list<std::int64_t> sizes) {
  constexpr std::int64_t largest = (std::int64_t{1} << 31) - 1;
  std::int64_t product = 1;
  for (const std::int64_t n : sizes) {
    if (n > largest / product) return false;
    product *= n;
  }
  return true;
}

Shape output_shape(const Conv2dGeometry& g) { return {g.N, g.P, g.Q, g.K}; }

}  // namespace

Conv2dGeometry conv2d_check(const Shape& x, const Shape& w, const Conv2dAttrs& a) {
  SENTEI_CHECK(ShapeError, x.rank == 4, "conv2d: x must have shape (N, H, W, C), got ", x);
  SENTEI_CHECK(ShapeError, w.rank == 4, "conv2d: w must have shape (K, R, S, C), got ", w);
  SENTEI_CHECK(ValueError, a.stride_h >= 1 && a.stride_w >= 1,
               "conv2d: stride must be at least 1, got (", a.stride_h, ", ", a.stride_w, ")");
  SENTEI_CHECK(ValueError, a.padding_h >= 0 && a.padding_w >= 0,
               "conv2d: padding must be at least 0, got (", a.padding_h, ", ", a.padding_w, ")");
  SENTEI_CHECK(ValueError, a.dilation_h >= 1 && a.dilation_w >= 1,
               "conv2d: dilation must be at least 1, got (", a.dilation_h, ", ", a.dilation_w, ")");
  for (int i = 0; i < 4; ++i)
    SENTEI_CHECK(ShapeError, w[i] >= 1, "conv2d: w must have no empty axis, got ", w);
  for (int i = 1; i < 4; ++i)
    SENTEI_CHECK(ShapeError, x[i] >= 1, "conv2d: x must have no empty axis but N, got ", x);
  SENTEI_CHECK(ShapeError, x[3] % w[3] == 0,
               "conv2d: w must have shape (K, R, S, C / groups) with C = ", x[3], " to match x ", x,
               ", got ", w);
  const std::int64_t groups = x[3] / w[3];
  SENTEI_CHECK(ShapeError, w[0] % groups == 0, "conv2d: the filters of w must divide evenly among ",
               groups, " groups, got ", w);
  // Kernels count within an image, its padding included, and within the filters in 32 bits.
  constexpr std::int64_t too_large = std::int64_t{1} << 31;
  const std::int64_t padded_h = std::min(x[1], too_large) + std::int64_t{2} * a.padding_h;
  const std::int64_t padded_w = std::min(x[2], too_large) + std::int64_t{2} * a.padding_w;
  SENTEI_CHECK(ShapeError, fits({padded_h, padded_w, x[3]}) && fits({w[0], w[1], w[2], w[3]}),
               "conv2d: one padded image of x, and w, must have fewer than 2^31 elements, got x ",
               x, " with padding (", a.padding_h, ", ", a.padding_w, ") and w ", w);
  const Conv2dGeometry g = geometry_of(x, w, a);
  SENTEI_CHECK(ShapeError,
               padded_h > a.dilation_h * (g.R - 1) && padded_w > a.dilation_w * (g.S - 1),
               "conv2d: the window ", w[1], " x ", w[2], " must fit into x ", x, " with padding (",
               a.padding_h, ", ", a.padding_w, ")");
  SENTEI_CHECK(ShapeError, fits({g.P, g.Q, g.K}),
               "conv2d: one image of the output must have fewer than 2^31 elements, got x ", x,
               " and w ", w);
  return g;
}

std::size_t conv2d_workspace(const std::string& pass, const Conv2dGeometry& g, Precision precision,
                             Device device) {
  const auto& k = kernels::conv2d_kernels(device);
  if (pass == "forward") return k.forward_workspace(g, precision);
  if (pass == "backward_input") return k.backward_input_workspace(g, precision);
  if (pass == "backward_weight") return k.backward_weight_workspace(g, precision);
  fail<ValueError>(
      "conv2d_workspace: pass must be forward, backward_input or backward_weight, got ", pass);
}

void conv2d_forward(const Tensor& x, const Tensor& w, const Tensor* b, const Tensor& y,
                    const Tensor* workspace, const Conv2dAttrs& attrs, bool relu) {
  const char* op = "conv2d_forward";
  const Device device =
      device_of(op, {{"x", &x}, {"w", &w}, {"b", b}, {"y", &y}, {"workspace", workspace}});
  check_float(op, "x", x);
  check_float(op, "w", w);
  check_float(op, "y", y);
  const Conv2dGeometry g = conv2d_check(x.shape(), w.shape(), attrs);
  check_precision(op, attrs.precision, device);
  const auto& k = kernels::conv2d_kernels(device);
  check_shape(op, "y", y, output_shape(g));
  check_apart(op, "y", y, "x", x);
  check_apart(op, "y", y, "w", w);
  if (b) {
    check_float(op, "b", *b);
    check_shape(op, "b", *b, {g.K});
    check_apart(op, "y", y, "b", *b);
  }
  k.forward(g, attrs.precision, x.data<float>(), w.data<float>(), b ? b->data<float>() : nullptr,
            relu, y.data<float>(),
            check_workspace(op, workspace, k.forward_workspace(g, attrs.precision)));
}

void conv2d_backward_input(const Tensor& dy, const Tensor& w, const Tensor& dx,
                           const Tensor* workspace, const Conv2dAttrs& attrs) {
  const char* op = "conv2d_backward_input";
  const Device device =
      device_of(op, {{"dy", &dy}, {"w", &w}, {"dx", &dx}, {"workspace", workspace}});
  check_float(op, "dy", dy);
  check_float(op, "w", w);
  check_float(op, "dx", dx);
  const Conv2dGeometry g = conv2d_check(dx.shape(), w.shape(), attrs);
  check_precision(op, attrs.precision, device);
  const auto& k = kernels::conv2d_kernels(device);
  check_shape(op, "dy", dy, output_shape(g));
  check_apart(op, "dx", dx, "dy", dy);
  check_apart(op, "dx", dx, "w", w);
  k.backward_input(g, attrs.precision, dy.data<float>(), w.data<float>(), dx.data<float>(),
                   check_workspace(op, workspace, k.backward_input_workspace(g, attrs.precision)));
}

void conv2d_backward_weight(const Tensor& x, const Tensor& dy, const Tensor& dw,
                            const Tensor* workspace, const Conv2dAttrs& attrs) {
  const char* op = "conv2d_backward_weight";
  const Device device =
      device_of(op, {{"x", &x}, {"dy", &dy}, {"dw", &dw}, {"workspace", workspace}});
  check_float(op, "x", x);
  check_float(op, "dy", dy);
  check_float(op, "dw", dw);
  const Conv2dGeometry g = conv2d_check(x.shape(), dw.shape(), attrs);
  check_precision(op, attrs.precision, device);
  const auto& k = kernels::conv2d_kernels(device);
  check_shape(op, "dy", dy, output_shape(g));
  check_apart(op, "dw", dw, "x", x);
  check_apart(op, "dw", dw, "dy", dy);
  k.backward_weight(
      g, attrs.precision, x.data<float>(), dy.data<float>(), dw.data<float>(),
      check_workspace(op, workspace, k.backward_weight_workspace(g, attrs.precision)));
}

}  // namespace sentei::ops
