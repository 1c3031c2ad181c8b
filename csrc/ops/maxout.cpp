#include "ops/maxout.hpp"

#include "kernels/maxout.hpp"
#include "ops/checks.hpp"

namespace sentei::ops {
namespace {

// Shape of y for this x.
Shape geometry(const char* op, const char* x_name, const Shape& x, std::int64_t pieces) {
  SENTEI_CHECK(ValueError, pieces >= 1 && pieces <= 256, op,
               ": pieces must be between 1 and 256, got ", pieces);
  SENTEI_CHECK(ShapeError, x.rank >= 1 && x.back() % pieces == 0, op, ": ", x_name,
               " must have a last axis that is a multiple of ", pieces, ", got shape ", x);
  Shape y = x;
  y[y.rank - 1] /= pieces;
  return y;
}

}  // namespace

void maxout_forward(const Tensor& x, const Tensor& y, const Tensor& index, std::int64_t pieces) {
  const char* op = "maxout_forward";
  const Device device = device_of(op, {{"x", &x}, {"y", &y}, {"index", &index}});
  check_float(op, "x", x);
  check_float(op, "y", y);
  check_dtype(op, "index", index, DType::u8);
  const Shape want = geometry(op, "x", x.shape(), pieces);
  check_shape(op, "y", y, want);
  check_shape(op, "index", index, want);
  check_apart(op, "y", y, "x", x);
  check_apart(op, "index", index, "x", x);
  check_apart(op, "index", index, "y", y);
  kernels::maxout_kernels(device).forward(y.size(), pieces, x.data<float>(), y.data<float>(),
                                          index.data<std::uint8_t>());
}

void maxout_backward(const Tensor& dy, const Tensor& index, const Tensor& dx, std::int64_t pieces) {
  const char* op = "maxout_backward";
  const Device device = device_of(op, {{"dy", &dy}, {"index", &index}, {"dx", &dx}});
  check_float(op, "dy", dy);
  check_float(op, "dx", dx);
  check_dtype(op, "index", index, DType::u8);
  const Shape want = geometry(op, "dx", dx.shape(), pieces);
  check_shape(op, "dy", dy, want);
  check_shape(op, "index", index, want);
  check_apart(op, "dx", dx, "dy", dy);
  check_apart(op, "dx", dx, "index", index);
  kernels::maxout_kernels(device).backward(dy.size(), pieces, dy.data<float>(),
                                           index.data<std::uint8_t>(), dx.data<float>());
}

}  // namespace sentei::ops
