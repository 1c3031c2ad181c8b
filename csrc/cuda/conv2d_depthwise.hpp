// Depthwise convolution (one filter per channel) in float32. No workspace forward and for dx.
#pragma once
#include <cstddef>

#include "ops/conv2d_geometry.hpp"

namespace sentei::cuda {

std::size_t conv2d_depthwise_backward_weight_workspace(const Conv2dGeometry& g);

void conv2d_depthwise_forward(const Conv2dGeometry& g, const float* x, const float* w,
                              const float* bias, bool relu, float* y);
void conv2d_depthwise_backward_input(const Conv2dGeometry& g, const float* dy, const float* w,
                                     float* dx);
void conv2d_depthwise_backward_weight(const Conv2dGeometry& g, const float* x, const float* dy,
                                      float* dw, void* workspace);

}  // namespace sentei::cuda
