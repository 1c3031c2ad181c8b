#include "ops/softmax.hpp"

#include "kernels/softmax.hpp"
#include "ops/elementwise.hpp"

namespace sentei::ops {

void softmax_forward(const Tensor& x, const Tensor& y) {
  const Device device = device_of("softmax_forward", {{"x", &x}, {"y", &y}});
  check_map("softmax_forward", "x", x, "y", y);
  kernels::softmax_kernels(device).forward(x.shape().rows(), x.shape().back(), x.data<float>(),
                                           y.data<float>());
}

void softmax_backward(const Tensor& y, const Tensor& dy, const Tensor& dx) {
  const Device device = device_of("softmax_backward", {{"y", &y}, {"dy", &dy}, {"dx", &dx}});
  check_pair("softmax_backward", "y", y, "dy", dy, "dx", dx);
  kernels::softmax_kernels(device).backward(y.shape().rows(), y.shape().back(), y.data<float>(),
                                            dy.data<float>(), dx.data<float>());
}

}  // namespace sentei::ops
