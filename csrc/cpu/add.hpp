#pragma once
#include <cstdint>

#include "cpu/isa.hpp"

namespace sentei::cpu {

struct AddKernels {
  void (*forward)(std::int64_t n, const float* a, const float* b, float* y);
};
SENTEI_KERNEL_TABLE(AddKernels, add_kernels)

}  // namespace sentei::cpu
