#pragma once
#include <cstdint>

#include "kernels/table.hpp"

namespace sentei::kernels {

struct AddKernels {
  void (*forward)(std::int64_t n, const float* a, const float* b, bool relu, float* y);
};

}  // namespace sentei::kernels
SENTEI_KERNEL_TABLE(AddKernels, add_kernels)
