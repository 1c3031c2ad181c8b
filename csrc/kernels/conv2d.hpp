// Convolution. float32, x (N, H, W, C), w (K, R, S, C / G), y (N, P, Q, K), all contiguous. Each
// pass takes a workspace of at least <pass>_workspace(g, precision) bytes, aligned to 64; it need
// not be cleared. Results are overwritten, never added to.
#pragma once
#include <cstddef>

#include "core/precision.hpp"
#include "kernels/table.hpp"
#include "ops/conv2d_geometry.hpp"

namespace sentei::kernels {

struct Conv2dKernels {
  using Workspace = std::size_t (*)(const Conv2dGeometry& g, Precision precision);
  Workspace forward_workspace, backward_input_workspace, backward_weight_workspace;
  // y = conv(x, w) + bias, then max(y, 0) if relu; bias (K) may be null.
  void (*forward)(const Conv2dGeometry& g, Precision precision, const float* x, const float* w,
                  const float* bias, bool relu, float* y, void* workspace);
  void (*backward_input)(const Conv2dGeometry& g, Precision precision, const float* dy,
                         const float* w, float* dx, void* workspace);
  void (*backward_weight)(const Conv2dGeometry& g, Precision precision, const float* x,
                          const float* dy, float* dw, void* workspace);
};

}  // namespace sentei::kernels
SENTEI_KERNEL_TABLE(Conv2dKernels, conv2d_kernels)
