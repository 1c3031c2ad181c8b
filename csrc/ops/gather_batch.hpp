#pragma once
#include "core/tensor.hpp"

namespace sentei::ops {

// x (B, H, W, C) = scale * images[plan] + shift; images (N, H, W, C) uint8 or float32, plan (B, 4)
// int32 of (image, rows, columns, mirrored); see kernels/gather_batch.hpp.
void gather_batch_forward(const Tensor& images, const Tensor& plan, const Tensor& scale,
                          const Tensor& shift, const Tensor& x);

}  // namespace sentei::ops
