// Convolution on the CPU. float32, x (N, H, W, C), w (K, R, S, C / G), y (N, P, Q, K), all
// contiguous. Each pass takes a workspace of at least <pass>_workspace(g) bytes, aligned to 64; it
// need not be cleared. Results are overwritten, never added to. Bits do not depend on the number of
// threads.
#pragma once
#include <cstddef>

#include "ops/conv2d.hpp"

namespace sentei::cpu {

// y = conv(x, w) + bias, then max(y, 0) if relu; bias (K) may be null.
std::size_t conv2d_forward_workspace(const Conv2dGeometry& g);
void conv2d_forward(const Conv2dGeometry& g, const float* x, const float* w, const float* bias,
                    bool relu, float* y, void* workspace);

std::size_t conv2d_backward_input_workspace(const Conv2dGeometry& g);
void conv2d_backward_input(const Conv2dGeometry& g, const float* dy, const float* w, float* dx,
                           void* workspace);

std::size_t conv2d_backward_weight_workspace(const Conv2dGeometry& g);
void conv2d_backward_weight(const Conv2dGeometry& g, const float* x, const float* dy, float* dw,
                            void* workspace);

// db[k] = sum over all pixels of dy (N, P, Q, K).
std::size_t conv2d_backward_bias_workspace(const Conv2dGeometry& g);
void conv2d_backward_bias(const Conv2dGeometry& g, const float* dy, float* db, void* workspace);

}  // namespace sentei::cpu
