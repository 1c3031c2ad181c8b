#pragma once
#include <cstdint>

#include "kernels/table.hpp"

namespace sentei::kernels {

// From x (N, H, W, C) to y (N, P, Q, C): y[n, p, q] = x[n, p - top, q - left], outside of x `fill`.
// Negative top and left cut, which is the gradient of a border.
struct Pad2d {
  std::int64_t N, H, W, C, P, Q, top, left;
};

struct Pad2dKernels {
  void (*shift)(const Pad2d& g, const float* x, float* y, float fill);
};

}  // namespace sentei::kernels
SENTEI_KERNEL_TABLE(Pad2dKernels, pad2d_kernels)
