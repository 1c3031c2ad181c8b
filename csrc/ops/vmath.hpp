#pragma once
#include <string>

#include "core/tensor.hpp"

namespace sentei::ops {

// y = the function `name` of cpu/vmath.hpp, as built for the tier `isa`; for tests of accuracy.
void vmath(const std::string& name, const std::string& isa, const Tensor& x, const Tensor& y);

}  // namespace sentei::ops
