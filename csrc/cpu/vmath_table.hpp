// The vector functions of vmath.hpp on arrays, so that tests can measure every tier.
#pragma once
#include <cstdint>

#include "cpu/isa.hpp"

namespace sentei::cpu {

struct VmathKernels {
  using Map = void (*)(std::int64_t n, const float* x, float* y);
  Map exp, expm1, log, log1p, tanh, logistic, softplus;
};
SENTEI_TIER_TABLES(VmathKernels, vmath_kernels)

}  // namespace sentei::cpu
