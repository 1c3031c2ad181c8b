#pragma once
#include "core/tensor.hpp"

namespace sentei::ops {

// y = x where x > 0, else a x; a holds one number. y may be x.
void prelu_forward(const Tensor& x, const Tensor& a, const Tensor& y);

std::size_t prelu_backward_workspace(std::int64_t n, Device device);  // bytes, for n elements
// dx may be x or dy.
void prelu_backward(const Tensor& x, const Tensor& a, const Tensor& dy, const Tensor& dx,
                    const Tensor& da, const Tensor& workspace);

}  // namespace sentei::ops
