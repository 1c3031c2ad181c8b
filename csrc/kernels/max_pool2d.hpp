#pragma once
#include "kernels/pool2d.hpp"
#include "kernels/table.hpp"

namespace sentei::kernels {

struct MaxPool2dKernels {
  void (*forward)(const Pool2d& g, const float* x, float* y, std::uint8_t* index);
  void (*backward)(const Pool2d& g, const float* dy, const std::uint8_t* index, float* dx);
};

}  // namespace sentei::kernels
SENTEI_KERNEL_TABLE(MaxPool2dKernels, max_pool2d_kernels)
