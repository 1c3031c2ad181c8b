#include "ops/avg_pool2d.hpp"

#include "kernels/avg_pool2d.hpp"
#include "ops/checks.hpp"

namespace sentei::ops {
namespace {

kernels::Pool2d check(const char* op, const char* big_name, const Tensor& big,
                      const char* small_name, const Tensor& small, Pair k, Pair s) {
  check_float(op, big_name, big);
  check_float(op, small_name, small);
  const Shape x = big.shape(), y = pool2d_geometry(op, x, k, s, {0, 0}, false);
  check_shape(op, small_name, small, y);
  return {x[0], x[1], x[2], x[3], y[1], y[2], k.h, k.w, s.h, s.w, 0, 0};
}

void forward(const char* op, const Tensor& x, const Tensor& y, Pair kernel, Pair stride) {
  const Device device = device_of(op, {{"x", &x}, {"y", &y}});
  const kernels::Pool2d g = check(op, "x", x, "y", y, kernel, stride);
  check_apart(op, "y", y, "x", x);
  kernels::avg_pool2d_kernels(device).forward(g, x.data<float>(), y.data<float>());
}

void backward(const char* op, const Tensor& dy, const Tensor& dx, Pair kernel, Pair stride) {
  const Device device = device_of(op, {{"dy", &dy}, {"dx", &dx}});
  const kernels::Pool2d g = check(op, "dx", dx, "dy", dy, kernel, stride);
  check_apart(op, "dx", dx, "dy", dy);
  kernels::avg_pool2d_kernels(device).backward(g, dy.data<float>(), dx.data<float>());
}

Pair whole(const char* op, const char* name, const Tensor& x) {
  check_rank(op, name, x, 4);
  SENTEI_CHECK(ShapeError, x.shape()[1] >= 1 && x.shape()[2] >= 1, op, ": ", name,
               " must have at least one pixel, got shape ", x.shape());
  return {x.shape()[1], x.shape()[2]};
}

}  // namespace

void avg_pool2d_forward(const Tensor& x, const Tensor& y, Pair kernel, Pair stride) {
  forward("avg_pool2d_forward", x, y, kernel, stride);
}

void avg_pool2d_backward(const Tensor& dy, const Tensor& dx, Pair kernel, Pair stride) {
  backward("avg_pool2d_backward", dy, dx, kernel, stride);
}

void global_avg_pool_forward(const Tensor& x, const Tensor& y) {
  const char* op = "global_avg_pool_forward";
  const Pair image = whole(op, "x", x);
  forward(op, x, y, image, image);
}

void global_avg_pool_backward(const Tensor& dy, const Tensor& dx) {
  const char* op = "global_avg_pool_backward";
  const Pair image = whole(op, "dx", dx);
  backward(op, dy, dx, image, image);
}

}  // namespace sentei::ops
