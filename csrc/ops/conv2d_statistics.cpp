#include "ops/conv2d_statistics.hpp"

#include "kernels/conv2d_statistics.hpp"
#include "ops/checks.hpp"

namespace sentei::ops {

std::size_t conv2d_statistics_workspace(const Conv2dGeometry& g, Precision precision,
                                        Device device) {
  return kernels::conv2d_statistics_kernels(device).workspace(g, precision);
}

void conv2d_statistics_forward(const Tensor& x, const Tensor& w, const Tensor* b, const Tensor& y,
                               const Tensor& mean, const Tensor& var, const Tensor* workspace,
                               const Conv2dAttrs& attrs) {
  const char* op = "conv2d_statistics_forward";
  const Device device = device_of(op, {{"x", &x},
                                       {"w", &w},
                                       {"b", b},
                                       {"y", &y},
                                       {"mean", &mean},
                                       {"var", &var},
                                       {"workspace", workspace}});
  check_float(op, "x", x);
  check_float(op, "w", w);
  check_float(op, "y", y);
  check_float(op, "mean", mean);
  check_float(op, "var", var);
  const Conv2dGeometry g = conv2d_check(x.shape(), w.shape(), attrs);
  check_precision(op, attrs.precision, device);
  check_shape(op, "y", y, {g.N, g.P, g.Q, g.K});
  check_shape(op, "mean", mean, {g.K});
  check_shape(op, "var", var, {g.K});
  SENTEI_CHECK(ShapeError, g.N > 0, op, ": x must have at least one image, got shape ", x.shape());
  if (b) {
    check_float(op, "b", *b);
    check_shape(op, "b", *b, {g.K});
  }
  check_apart(op, "y", y, {{"x", &x}, {"w", &w}, {"b", b}});
  check_apart(op, "mean", mean, {{"x", &x}, {"w", &w}, {"b", b}, {"y", &y}});
  check_apart(op, "var", var, {{"x", &x}, {"w", &w}, {"b", b}, {"y", &y}, {"mean", &mean}});
  const auto& k = kernels::conv2d_statistics_kernels(device);
  k.forward(g, attrs.precision, x.data<float>(), w.data<float>(), b ? b->data<float>() : nullptr,
            y.data<float>(), mean.data<float>(), var.data<float>(),
            check_workspace(op, workspace, k.workspace(g, attrs.precision)));
}

}  // namespace sentei::ops
