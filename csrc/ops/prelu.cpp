#include "ops/prelu.hpp"

#include "kernels/prelu.hpp"
#include "ops/elementwise.hpp"

namespace sentei::ops {

void prelu_forward(const Tensor& x, const Tensor& a, const Tensor& y) {
  const char* op = "prelu_forward";
  const Device device = device_of(op, {{"x", &x}, {"a", &a}, {"y", &y}});
  check_map(op, "x", x, "y", y);
  check_float(op, "a", a);
  check_shape(op, "a", a, Shape{1});
  check_apart(op, "y", y, "a", a);
  kernels::prelu_kernels(device).forward(x.size(), x.data<float>(), a.data<float>(),
                                         y.data<float>());
}

std::size_t prelu_backward_workspace(std::int64_t n, Device device) {
  return static_cast<std::size_t>(kernels::prelu_kernels(device).partials(n)) * sizeof(double);
}

void prelu_backward(const Tensor& x, const Tensor& a, const Tensor& dy, const Tensor& dx,
                    const Tensor& da, const Tensor& workspace) {
  const char* op = "prelu_backward";
  const Device device = device_of(
      op, {{"x", &x}, {"a", &a}, {"dy", &dy}, {"dx", &dx}, {"da", &da}, {"workspace", &workspace}});
  check_pair(op, "x", x, "dy", dy, "dx", dx);
  check_float(op, "a", a);
  check_shape(op, "a", a, Shape{1});
  check_float(op, "da", da);
  check_shape(op, "da", da, Shape{1});
  check_apart(op, "dx", dx, "a", a);
  check_apart(op, "da", da, {{"dx", &dx}, {"x", &x}, {"dy", &dy}});
  check_workspace(op, workspace, prelu_backward_workspace(x.size(), device));
  kernels::prelu_kernels(device).backward(x.size(), x.data<float>(), a.data<float>(),
                                          dy.data<float>(), dx.data<float>(), da.data<float>(),
                                          workspace.data<double>());
}

}  // namespace sentei::ops
