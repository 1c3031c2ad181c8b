#include "ops/softmax.hpp"

#include "cpu/softmax.hpp"
#include "ops/elementwise.hpp"

namespace sentei::ops {

void softmax_forward(const Tensor& x, const Tensor& y) {
  check_map("softmax_forward", "x", x, "y", y);
  cpu::softmax_kernels().forward(x.shape().rows(), x.shape().back(), x.data<float>(),
                                 y.data<float>());
}

void softmax_backward(const Tensor& y, const Tensor& dy, const Tensor& dx) {
  check_pair("softmax_backward", "y", y, "dy", dy, "dx", dx);
  cpu::softmax_kernels().backward(y.shape().rows(), y.shape().back(), y.data<float>(),
                                  dy.data<float>(), dx.data<float>());
}

}  // namespace sentei::ops
