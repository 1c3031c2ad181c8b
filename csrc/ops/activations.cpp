#include "ops/activations.hpp"

#include "kernels/activations.hpp"
#include "ops/elementwise.hpp"

namespace sentei::ops {
namespace {

void check_range(const char* op, float low, float high) {
  SENTEI_CHECK(ValueError, low <= high, op, ": low must be at most high, got ", low, " and ", high);
}

}  // namespace

void relu_forward(const Tensor& x, const Tensor& y) {
  const Device device = device_of("relu_forward", {{"x", &x}, {"y", &y}});
  check_map("relu_forward", "x", x, "y", y);
  kernels::activation_kernels(device).relu(x.size(), x.data<float>(), y.data<float>());
}

void relu_backward(const Tensor& y, const Tensor& dy, const Tensor& dx) {
  const Device device = device_of("relu_backward", {{"y", &y}, {"dy", &dy}, {"dx", &dx}});
  check_pair("relu_backward", "y", y, "dy", dy, "dx", dx);
  kernels::activation_kernels(device).relu_backward(y.size(), y.data<float>(), dy.data<float>(),
                                                    dx.data<float>());
}

void leaky_relu_forward(const Tensor& x, const Tensor& y, float alpha) {
  const Device device = device_of("leaky_relu_forward", {{"x", &x}, {"y", &y}});
  check_map("leaky_relu_forward", "x", x, "y", y);
  check_not_negative("leaky_relu_forward", "alpha", alpha);
  kernels::activation_kernels(device).leaky_relu(x.size(), x.data<float>(), y.data<float>(), alpha);
}

void leaky_relu_backward(const Tensor& y, const Tensor& dy, const Tensor& dx, float alpha) {
  const Device device = device_of("leaky_relu_backward", {{"y", &y}, {"dy", &dy}, {"dx", &dx}});
  check_pair("leaky_relu_backward", "y", y, "dy", dy, "dx", dx);
  check_not_negative("leaky_relu_backward", "alpha", alpha);
  kernels::activation_kernels(device).leaky_relu_backward(
      y.size(), y.data<float>(), dy.data<float>(), dx.data<float>(), alpha);
}

void elu_forward(const Tensor& x, const Tensor& y, float alpha) {
  const Device device = device_of("elu_forward", {{"x", &x}, {"y", &y}});
  check_map("elu_forward", "x", x, "y", y);
  check_not_negative("elu_forward", "alpha", alpha);
  kernels::activation_kernels(device).elu(x.size(), x.data<float>(), y.data<float>(), alpha);
}

void elu_backward(const Tensor& y, const Tensor& dy, const Tensor& dx, float alpha) {
  const Device device = device_of("elu_backward", {{"y", &y}, {"dy", &dy}, {"dx", &dx}});
  check_pair("elu_backward", "y", y, "dy", dy, "dx", dx);
  check_not_negative("elu_backward", "alpha", alpha);
  kernels::activation_kernels(device).elu_backward(y.size(), y.data<float>(), dy.data<float>(),
                                                   dx.data<float>(), alpha);
}

void clip_forward(const Tensor& x, const Tensor& y, float low, float high) {
  const Device device = device_of("clip_forward", {{"x", &x}, {"y", &y}});
  check_map("clip_forward", "x", x, "y", y);
  check_range("clip_forward", low, high);
  kernels::activation_kernels(device).clip(x.size(), x.data<float>(), y.data<float>(), low, high);
}

void clip_backward(const Tensor& y, const Tensor& dy, const Tensor& dx, float low, float high) {
  const Device device = device_of("clip_backward", {{"y", &y}, {"dy", &dy}, {"dx", &dx}});
  check_pair("clip_backward", "y", y, "dy", dy, "dx", dx);
  check_range("clip_backward", low, high);
  kernels::activation_kernels(device).clip_backward(y.size(), y.data<float>(), dy.data<float>(),
                                                    dx.data<float>(), low, high);
}

void logistic_forward(const Tensor& x, const Tensor& y) {
  const Device device = device_of("logistic_forward", {{"x", &x}, {"y", &y}});
  check_map("logistic_forward", "x", x, "y", y);
  kernels::activation_kernels(device).logistic(x.size(), x.data<float>(), y.data<float>());
}

void logistic_backward(const Tensor& y, const Tensor& dy, const Tensor& dx) {
  const Device device = device_of("logistic_backward", {{"y", &y}, {"dy", &dy}, {"dx", &dx}});
  check_pair("logistic_backward", "y", y, "dy", dy, "dx", dx);
  kernels::activation_kernels(device).logistic_backward(y.size(), y.data<float>(), dy.data<float>(),
                                                        dx.data<float>());
}

void tanh_forward(const Tensor& x, const Tensor& y) {
  const Device device = device_of("tanh_forward", {{"x", &x}, {"y", &y}});
  check_map("tanh_forward", "x", x, "y", y);
  kernels::activation_kernels(device).tanh(x.size(), x.data<float>(), y.data<float>());
}

void tanh_backward(const Tensor& y, const Tensor& dy, const Tensor& dx) {
  const Device device = device_of("tanh_backward", {{"y", &y}, {"dy", &dy}, {"dx", &dx}});
  check_pair("tanh_backward", "y", y, "dy", dy, "dx", dx);
  kernels::activation_kernels(device).tanh_backward(y.size(), y.data<float>(), dy.data<float>(),
                                                    dx.data<float>());
}

void softplus_forward(const Tensor& x, const Tensor& y) {
  const Device device = device_of("softplus_forward", {{"x", &x}, {"y", &y}});
  check_map("softplus_forward", "x", x, "y", y);
  kernels::activation_kernels(device).softplus(x.size(), x.data<float>(), y.data<float>());
}

void softplus_backward(const Tensor& x, const Tensor& dy, const Tensor& dx) {
  const Device device = device_of("softplus_backward", {{"x", &x}, {"dy", &dy}, {"dx", &dx}});
  check_pair("softplus_backward", "x", x, "dy", dy, "dx", dx);
  kernels::activation_kernels(device).softplus_backward(x.size(), x.data<float>(), dy.data<float>(),
                                                        dx.data<float>());
}

void step_forward(const Tensor& x, const Tensor& y) {
  const Device device = device_of("step_forward", {{"x", &x}, {"y", &y}});
  check_map("step_forward", "x", x, "y", y);
  kernels::activation_kernels(device).step(x.size(), x.data<float>(), y.data<float>());
}

}  // namespace sentei::ops
