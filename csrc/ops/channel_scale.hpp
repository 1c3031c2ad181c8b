#pragma once
#include "core/tensor.hpp"

namespace sentei::ops {

std::int64_t channel_scale_workspace(const Shape& x, Device device);

// y = x m[c] over the last axis; y may be x.
void channel_scale_forward(const Tensor& x, const Tensor& m, const Tensor& y,
                           const Tensor& workspace);
// dx = dy m[c], dm[c] = sum dy x; dx may be dy or x.
void channel_scale_backward(const Tensor& dy, const Tensor& x, const Tensor& m, const Tensor& dx,
                            const Tensor& dm, const Tensor& workspace);

}  // namespace sentei::ops
