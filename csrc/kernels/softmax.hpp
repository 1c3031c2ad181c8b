#pragma once
#include <cstdint>

#include "kernels/table.hpp"

namespace sentei::kernels {

struct SoftmaxKernels {
  void (*forward)(std::int64_t rows, std::int64_t k, const float* x, float* y);
  void (*backward)(std::int64_t rows, std::int64_t k, const float* y, const float* dy, float* dx);
};

}  // namespace sentei::kernels
SENTEI_KERNEL_TABLE(SoftmaxKernels, softmax_kernels)
