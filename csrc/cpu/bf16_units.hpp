// The tile kernels of the chosen unit; for every unit but portable.
#pragma once
#include "cpu/bf16_plan.hpp"

namespace sentei::cpu {
const Bf16Kernels& bf16_tiles();
}  // namespace sentei::cpu
