#pragma once
#include "cpu/isa.hpp"
#include "cpu/pool2d.hpp"

namespace sentei::cpu {

struct MaxPool2dKernels {
  void (*forward)(const Pool2d& g, const float* x, float* y, std::uint8_t* index);
  void (*backward)(const Pool2d& g, const float* dy, const std::uint8_t* index, float* dx);
};
SENTEI_KERNEL_TABLE(MaxPool2dKernels, max_pool2d_kernels)

}  // namespace sentei::cpu
