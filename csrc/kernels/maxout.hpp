#pragma once
#include <cstdint>

#include "kernels/table.hpp"

namespace sentei::kernels {

struct MaxoutKernels {
  // units = rows of x times outputs: x holds `pieces` numbers for each, one after another.
  void (*forward)(std::int64_t units, std::int64_t pieces, const float* x, float* y,
                  std::uint8_t* index);
  void (*backward)(std::int64_t units, std::int64_t pieces, const float* dy,
                   const std::uint8_t* index, float* dx);
};

}  // namespace sentei::kernels
SENTEI_KERNEL_TABLE(MaxoutKernels, maxout_kernels)
