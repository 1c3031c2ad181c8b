#pragma once
#include "cpu/isa.hpp"
#include "cpu/pool2d.hpp"

namespace sentei::cpu {

struct AvgPool2dKernels {
  void (*forward)(const Pool2d& g, const float* x, float* y);
  void (*backward)(const Pool2d& g, const float* dy, float* dx);
};
SENTEI_KERNEL_TABLE(AvgPool2dKernels, avg_pool2d_kernels)

}  // namespace sentei::cpu
