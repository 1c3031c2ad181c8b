#pragma once
#include "ops/pool2d.hpp"

namespace sentei::ops {

// y (N, P, Q, C) and the winner's place r * kw + s in its window, uint8.
void max_pool2d_forward(const Tensor& x, const Tensor& y, const Tensor& index, Pair kernel,
                        Pair stride, Pair padding, bool ceil_mode);
void max_pool2d_backward(const Tensor& dy, const Tensor& index, const Tensor& dx, Pair kernel,
                         Pair stride, Pair padding, bool ceil_mode);

}  // namespace sentei::ops
