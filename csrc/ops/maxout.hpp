#pragma once
#include "core/tensor.hpp"

namespace sentei::ops {

// x (..., O pieces) -> y (..., O), index (..., O) uint8; the pieces of unit o lie one after
// another.
void maxout_forward(const Tensor& x, const Tensor& y, const Tensor& index, std::int64_t pieces);
void maxout_backward(const Tensor& dy, const Tensor& index, const Tensor& dx, std::int64_t pieces);

}  // namespace sentei::ops
