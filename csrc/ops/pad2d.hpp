#pragma once
#include "core/tensor.hpp"

namespace sentei::ops {

// Rows above and below, columns to the left and to the right.
struct Border {
  std::int64_t top, left, bottom, right;
};

Shape pad2d_geometry(const char* op, const Shape& x, const Border& pads);

// lowest: the border is -infinity, which never wins a maximum; else 0.
void pad2d_forward(const Tensor& x, const Tensor& y, const Border& pads, bool lowest);
void pad2d_backward(const Tensor& dy, const Tensor& dx, const Border& pads);

}  // namespace sentei::ops
