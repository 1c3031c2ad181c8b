#pragma once
#include "core/tensor.hpp"

namespace sentei::ops {

// Elementwise, x and y of one shape; y may be x. Each backward takes what its derivative is
// computed from (y, for softplus x) and dy; dx may be either of them. alpha >= 0.
void relu_forward(const Tensor& x, const Tensor& y);
void relu_backward(const Tensor& y, const Tensor& dy, const Tensor& dx);
void leaky_relu_forward(const Tensor& x, const Tensor& y, float alpha);
void leaky_relu_backward(const Tensor& y, const Tensor& dy, const Tensor& dx, float alpha);
void elu_forward(const Tensor& x, const Tensor& y, float alpha);
void elu_backward(const Tensor& y, const Tensor& dy, const Tensor& dx, float alpha);
// low <= high, infinite where a side is open.
void clip_forward(const Tensor& x, const Tensor& y, float low, float high);
void clip_backward(const Tensor& y, const Tensor& dy, const Tensor& dx, float low, float high);
void logistic_forward(const Tensor& x, const Tensor& y);
void logistic_backward(const Tensor& y, const Tensor& dy, const Tensor& dx);
void tanh_forward(const Tensor& x, const Tensor& y);
void tanh_backward(const Tensor& y, const Tensor& dy, const Tensor& dx);
void softplus_forward(const Tensor& x, const Tensor& y);
void softplus_backward(const Tensor& x, const Tensor& dy, const Tensor& dx);
void step_forward(const Tensor& x, const Tensor& y);

}  // namespace sentei::ops
