#include "ops/pad2d.hpp"

#include <limits>

#include "kernels/pad2d.hpp"
#include "ops/checks.hpp"

namespace sentei::ops {
namespace {

constexpr std::int64_t kLimit = std::int64_t{1} << 20;  // far above any image

}  // namespace

Shape pad2d_geometry(const char* op, const Shape& x, const Border& pads) {
  SENTEI_CHECK(ShapeError, x.rank == 4, op, ": x must have shape (N, H, W, C), got ", x);
  for (const std::int64_t side : {pads.top, pads.left, pads.bottom, pads.right})
    SENTEI_CHECK(ValueError, side >= 0 && side <= kLimit, op, ": pads must be 0 to ", kLimit,
                 ", got ", side);
  SENTEI_CHECK(ShapeError, x[1] >= 1 && x[1] <= kLimit && x[2] >= 1 && x[2] <= kLimit, op,
               ": x must have height and width of 1 to ", kLimit, ", got ", x);
  return {x[0], x[1] + pads.top + pads.bottom, x[2] + pads.left + pads.right, x[3]};
}

void pad2d_forward(const Tensor& x, const Tensor& y, const Border& pads, bool lowest) {
  const char* op = "pad2d_forward";
  const Device device = device_of(op, {{"x", &x}, {"y", &y}});
  check_float(op, "x", x);
  check_float(op, "y", y);
  const Shape in = x.shape(), out = pad2d_geometry(op, in, pads);
  check_shape(op, "y", y, out);
  check_apart(op, "y", y, "x", x);
  if (y.size() == 0) return;
  const float fill = lowest ? -std::numeric_limits<float>::infinity() : 0.0f;
  kernels::pad2d_kernels(device).shift(
      {in[0], in[1], in[2], in[3], out[1], out[2], pads.top, pads.left}, x.data<float>(),
      y.data<float>(), fill);
}

void pad2d_backward(const Tensor& dy, const Tensor& dx, const Border& pads) {
  const char* op = "pad2d_backward";
  const Device device = device_of(op, {{"dy", &dy}, {"dx", &dx}});
  check_float(op, "dy", dy);
  check_float(op, "dx", dx);
  const Shape in = dx.shape(), out = pad2d_geometry(op, in, pads);
  check_shape(op, "dy", dy, out);
  check_apart(op, "dx", dx, "dy", dy);
  if (dx.size() == 0) return;
  kernels::pad2d_kernels(device).shift(
      {in[0], out[1], out[2], in[3], in[1], in[2], -pads.top, -pads.left}, dy.data<float>(),
      dx.data<float>(), 0.0f);
}

}  // namespace sentei::ops
