#pragma once
#include <cstdint>

#include "kernels/table.hpp"

namespace sentei::kernels {

struct FillKernels {
  void (*forward)(std::int64_t n, float* y, float value);
};

}  // namespace sentei::kernels
SENTEI_KERNEL_TABLE(FillKernels, fill_kernels)
