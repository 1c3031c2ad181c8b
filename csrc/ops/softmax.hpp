#pragma once
#include "core/tensor.hpp"

namespace sentei::ops {

// Over the last axis; y may be x, dx may be y or dy.
void softmax_forward(const Tensor& x, const Tensor& y);
void softmax_backward(const Tensor& y, const Tensor& dy, const Tensor& dx);

}  // namespace sentei::ops
