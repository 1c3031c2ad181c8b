#include "ops/max_pool2d.hpp"

#include "kernels/max_pool2d.hpp"
#include "ops/checks.hpp"

namespace sentei::ops {
namespace {

constexpr std::int64_t kMaxArea = 255;  // what a uint8 index can tell apart

Shape check_geometry(const char* op, const Shape& x, Pair kernel, Pair stride, Pair padding,
                     bool ceil_mode) {
  const Shape y = pool2d_geometry(op, x, kernel, stride, padding, ceil_mode);
  SENTEI_CHECK(ValueError, kernel.h * kernel.w <= kMaxArea, op, ": kernel must cover at most ",
               kMaxArea, " elements, got ", kernel.h, " x ", kernel.w);
  return y;
}

kernels::Pool2d sizes(const Shape& x, const Shape& y, Pair k, Pair s, Pair p) {
  return {x[0], x[1], x[2], x[3], y[1], y[2], k.h, k.w, s.h, s.w, p.h, p.w};
}

void check_index(const char* op, const Tensor& index, const Shape& y) {
  check_dtype(op, "index", index, DType::u8);
  check_shape(op, "index", index, y);
}

}  // namespace

void max_pool2d_forward(const Tensor& x, const Tensor& y, const Tensor& index, Pair kernel,
                        Pair stride, Pair padding, bool ceil_mode) {
  const char* op = "max_pool2d_forward";
  const Device device = device_of(op, {{"x", &x}, {"y", &y}, {"index", &index}});
  check_float(op, "x", x);
  check_float(op, "y", y);
  const Shape out = check_geometry(op, x.shape(), kernel, stride, padding, ceil_mode);
  check_shape(op, "y", y, out);
  check_index(op, index, out);
  check_apart(op, "y", y, "x", x);
  check_apart(op, "index", index, "x", x);
  check_apart(op, "index", index, "y", y);
  kernels::max_pool2d_kernels(device).forward(sizes(x.shape(), out, kernel, stride, padding),
                                              x.data<float>(), y.data<float>(),
                                              index.data<std::uint8_t>());
}

void max_pool2d_backward(const Tensor& dy, const Tensor& index, const Tensor& dx, Pair kernel,
                         Pair stride, Pair padding, bool ceil_mode) {
  const char* op = "max_pool2d_backward";
  const Device device = device_of(op, {{"dy", &dy}, {"index", &index}, {"dx", &dx}});
  check_float(op, "dy", dy);
  check_float(op, "dx", dx);
  const Shape out = check_geometry(op, dx.shape(), kernel, stride, padding, ceil_mode);
  check_shape(op, "dy", dy, out);
  check_index(op, index, out);
  check_apart(op, "dx", dx, "dy", dy);
  check_apart(op, "dx", dx, "index", index);
  kernels::max_pool2d_kernels(device).backward(sizes(dx.shape(), out, kernel, stride, padding),
                                               dy.data<float>(), index.data<std::uint8_t>(),
                                               dx.data<float>());
}

}  // namespace sentei::ops
