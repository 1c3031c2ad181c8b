#include "ops/activations.hpp"

#include "cpu/activations.hpp"
#include "ops/elementwise.hpp"

namespace sentei::ops {

void relu_forward(const Tensor& x, const Tensor& y) {
  check_map("relu_forward", "x", x, "y", y);
  cpu::activation_kernels().relu(x.size(), x.data<float>(), y.data<float>());
}

void relu_backward(const Tensor& y, const Tensor& dy, const Tensor& dx) {
  check_pair("relu_backward", "y", y, "dy", dy, "dx", dx);
  cpu::activation_kernels().relu_backward(y.size(), y.data<float>(), dy.data<float>(),
                                          dx.data<float>());
}

void leaky_relu_forward(const Tensor& x, const Tensor& y, float alpha) {
  check_map("leaky_relu_forward", "x", x, "y", y);
  check_not_negative("leaky_relu_forward", "alpha", alpha);
  cpu::activation_kernels().leaky_relu(x.size(), x.data<float>(), y.data<float>(), alpha);
}

void leaky_relu_backward(const Tensor& y, const Tensor& dy, const Tensor& dx, float alpha) {
  check_pair("leaky_relu_backward", "y", y, "dy", dy, "dx", dx);
  check_not_negative("leaky_relu_backward", "alpha", alpha);
  cpu::activation_kernels().leaky_relu_backward(y.size(), y.data<float>(), dy.data<float>(),
                                                dx.data<float>(), alpha);
}

void elu_forward(const Tensor& x, const Tensor& y, float alpha) {
  check_map("elu_forward", "x", x, "y", y);
  check_not_negative("elu_forward", "alpha", alpha);
  cpu::activation_kernels().elu(x.size(), x.data<float>(), y.data<float>(), alpha);
}

void elu_backward(const Tensor& y, const Tensor& dy, const Tensor& dx, float alpha) {
  check_pair("elu_backward", "y", y, "dy", dy, "dx", dx);
  check_not_negative("elu_backward", "alpha", alpha);
  cpu::activation_kernels().elu_backward(y.size(), y.data<float>(), dy.data<float>(),
                                         dx.data<float>(), alpha);
}

void logistic_forward(const Tensor& x, const Tensor& y) {
  check_map("logistic_forward", "x", x, "y", y);
  cpu::activation_kernels().logistic(x.size(), x.data<float>(), y.data<float>());
}

void logistic_backward(const Tensor& y, const Tensor& dy, const Tensor& dx) {
  check_pair("logistic_backward", "y", y, "dy", dy, "dx", dx);
  cpu::activation_kernels().logistic_backward(y.size(), y.data<float>(), dy.data<float>(),
                                              dx.data<float>());
}

void tanh_forward(const Tensor& x, const Tensor& y) {
  check_map("tanh_forward", "x", x, "y", y);
  cpu::activation_kernels().tanh(x.size(), x.data<float>(), y.data<float>());
}

void tanh_backward(const Tensor& y, const Tensor& dy, const Tensor& dx) {
  check_pair("tanh_backward", "y", y, "dy", dy, "dx", dx);
  cpu::activation_kernels().tanh_backward(y.size(), y.data<float>(), dy.data<float>(),
                                          dx.data<float>());
}

void softplus_forward(const Tensor& x, const Tensor& y) {
  check_map("softplus_forward", "x", x, "y", y);
  cpu::activation_kernels().softplus(x.size(), x.data<float>(), y.data<float>());
}

void softplus_backward(const Tensor& x, const Tensor& dy, const Tensor& dx) {
  check_pair("softplus_backward", "x", x, "dy", dy, "dx", dx);
  cpu::activation_kernels().softplus_backward(x.size(), x.data<float>(), dy.data<float>(),
                                              dx.data<float>());
}

void step_forward(const Tensor& x, const Tensor& y) {
  check_map("step_forward", "x", x, "y", y);
  cpu::activation_kernels().step(x.size(), x.data<float>(), y.data<float>());
}

}  // namespace sentei::ops
