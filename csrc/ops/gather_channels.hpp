#pragma once
#include "core/tensor.hpp"

namespace sentei::ops {

// See kernels/gather_channels.hpp. x (..., C), y (..., K); rows (C,), offsets (G + 1,) int32, group
// (1,) int32 or int64.
void gather_channels_forward(const Tensor& x, const Tensor& rows, const Tensor& offsets,
                             const Tensor& group, const Tensor& y);

}  // namespace sentei::ops
