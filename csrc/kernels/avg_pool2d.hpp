#pragma once
#include "kernels/pool2d.hpp"
#include "kernels/table.hpp"

namespace sentei::kernels {

struct AvgPool2dKernels {
  void (*forward)(const Pool2d& g, const float* x, float* y);
  void (*backward)(const Pool2d& g, const float* dy, float* dx);
};

}  // namespace sentei::kernels
SENTEI_KERNEL_TABLE(AvgPool2dKernels, avg_pool2d_kernels)
