#pragma once
#include <cstdint>

#include "cpu/isa.hpp"

namespace sentei::cpu {

struct SoftmaxKernels {
  void (*forward)(std::int64_t rows, std::int64_t k, const float* x, float* y);
  void (*backward)(std::int64_t rows, std::int64_t k, const float* y, const float* dy, float* dx);
};
SENTEI_KERNEL_TABLE(SoftmaxKernels, softmax_kernels)

}  // namespace sentei::cpu
