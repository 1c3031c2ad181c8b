#pragma once
#include "core/tensor.hpp"

namespace sentei::ops {

// y = a + b, or relu(a + b), all of one shape; y may be a or b.
void add_forward(const Tensor& a, const Tensor& b, const Tensor& y, bool relu);

}  // namespace sentei::ops
