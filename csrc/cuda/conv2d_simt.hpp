// Exact float32 convolution with any stride, padding, dilation and groups. Linear layers are
// convolutions of 1 x 1 images. Workspaces: aligned to 64, need not be cleared.
#pragma once
#include <cstddef>

#include "kernels/linear.hpp"
#include "ops/conv2d_geometry.hpp"

namespace sentei::cuda {

std::size_t conv2d_simt_forward_workspace(const Conv2dGeometry& g);
std::size_t conv2d_simt_backward_input_workspace(const Conv2dGeometry& g);
// `active`: for rows of a group; then g.K is the largest number of them.
std::size_t conv2d_simt_backward_weight_workspace(const Conv2dGeometry& g, bool active);

// Rows of y in a tile of which the forward pass can give moments; 0: it cannot, for this geometry.
int conv2d_simt_moments_rows(const Conv2dGeometry& g);

// With `moments` also moments of the columns of each tile: (tiles, 3, K), without relu.
void conv2d_simt_forward(const Conv2dGeometry& g, const float* x, const float* w, const float* bias,
                         bool relu, float* y, void* workspace, float* moments = nullptr);
void conv2d_simt_backward_input(const Conv2dGeometry& g, const float* dy, const float* w, float* dx,
                                void* workspace);
// With `active` (then G = 1) only its rows of dw, compactly.
void conv2d_simt_backward_weight(const Conv2dGeometry& g, const float* x, const float* dy,
                                 float* dw, const kernels::ActiveRows* active, void* workspace);

}  // namespace sentei::cuda
