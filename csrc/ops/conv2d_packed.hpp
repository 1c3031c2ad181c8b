// Convolution with a filter packed before: the checked entries. On the CPU.
#pragma once
#include "kernels/conv2d_packed.hpp"
#include "ops/conv2d.hpp"

namespace sentei::ops {

// bytes = 0: nothing to pack for this convolution on this device.
kernels::Conv2dPacking conv2d_packing(const Conv2dGeometry& g, Precision precision, Device device);

// For x of shape x_shape; packed: exactly the packing's bytes, uint8.
void conv2d_pack(const Tensor& w, const Tensor& packed, const Shape& x_shape,
                 const Conv2dAttrs& attrs);

// As conv2d_forward with the filter of shape w_shape that conv2d_pack has packed.
void conv2d_packed_forward(const Tensor& x, const Tensor& packed, const Shape& w_shape,
                           const Tensor* b, const Tensor& y, const Tensor* workspace,
                           const Conv2dAttrs& attrs, bool relu);

}  // namespace sentei::ops
