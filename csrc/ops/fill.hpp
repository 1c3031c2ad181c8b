#pragma once
#include "core/tensor.hpp"

namespace sentei::ops {

// y = value everywhere.
void fill_forward(const Tensor& y, float value);

}  // namespace sentei::ops
