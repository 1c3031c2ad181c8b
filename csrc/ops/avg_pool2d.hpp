#pragma once
#include "ops/pool2d.hpp"

namespace sentei::ops {

// y = mean of each whole window; no padding, no partial windows.
void avg_pool2d_forward(const Tensor& x, const Tensor& y, Pair kernel, Pair stride);
void avg_pool2d_backward(const Tensor& dy, const Tensor& dx, Pair kernel, Pair stride);

// y (N, 1, 1, C) = mean over the image.
void global_avg_pool_forward(const Tensor& x, const Tensor& y);
void global_avg_pool_backward(const Tensor& dy, const Tensor& dx);

}  // namespace sentei::ops
