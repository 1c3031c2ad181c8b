// The geometry of all 2-d pooling: which windows there are.
#pragma once
#include "core/shape.hpp"
#include "core/tensor.hpp"

namespace sentei::ops {

struct Pair {
  std::int64_t h, w;
};

// Output shape (N, P, Q, C) of pooling x (N, H, W, C). P = floor((H + 2 pad - kernel) / stride) +
// 1; with ceil_mode rounded up, less a last window that would start beyond the image. Every window
// holds at least one element of the image.
Shape pool2d_geometry(const char* op, const Shape& x, Pair kernel, Pair stride, Pair padding,
                      bool ceil_mode);

}  // namespace sentei::ops
