// Two-dimensional convolution: the checked entries.
#pragma once
#include <string>

#include "core/backend.hpp"
#include "core/precision.hpp"
#include "core/shape.hpp"
#include "ops/conv2d_geometry.hpp"

namespace sentei {
class Tensor;
}

namespace sentei::ops {

struct Conv2dAttrs {
  int stride_h, stride_w, padding_h, padding_w, dilation_h, dilation_w;
  Precision precision = Precision::float32;
};

// The geometry after all checks of shapes and attributes; ShapeError or ValueError otherwise.
Conv2dGeometry conv2d_check(const Shape& x, const Shape& w, const Conv2dAttrs& attrs);

// Bytes of scratch for pass "forward", "backward_input" or "backward_weight".
std::size_t conv2d_workspace(const std::string& pass, const Conv2dGeometry& g, Precision precision,
                             Device device);

void conv2d_forward(const Tensor& x, const Tensor& w, const Tensor* b, const Tensor& y,
                    const Tensor* workspace, const Conv2dAttrs& attrs, bool relu);
void conv2d_backward_input(const Tensor& dy, const Tensor& w, const Tensor& dx,
                           const Tensor* workspace, const Conv2dAttrs& attrs);
void conv2d_backward_weight(const Tensor& x, const Tensor& dy, const Tensor& dw,
                            const Tensor* workspace, const Conv2dAttrs& attrs);

}  // namespace sentei::ops
