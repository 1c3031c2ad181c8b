#pragma once
#include "core/tensor.hpp"

namespace sentei::ops {

// rng is int64 (2,): seed and step. keep is the probability to keep an element, 0 < keep <= 1;
// stream tells layers apart. y = x mask, or x mask / keep when inverted. y may be x. The gradient
// is the same function of dy.
void dropout_forward(const Tensor& x, const Tensor& rng, const Tensor& y, double keep,
                     std::int64_t stream, bool inverted);
void dropout_backward(const Tensor& dy, const Tensor& rng, const Tensor& dx, double keep,
                      std::int64_t stream, bool inverted);
void dropout_mask(const Tensor& rng, const Tensor& mask, double keep, std::int64_t stream);

// y = x factor
void scale_forward(const Tensor& x, const Tensor& y, double factor);
// y = x mask factor; y may be x or mask.
void mask_multiply_forward(const Tensor& x, const Tensor& mask, const Tensor& y, double factor);

}  // namespace sentei::ops
