#pragma once
#include <cstdint>

#include "kernels/table.hpp"

namespace sentei::kernels {

struct PreluKernels {
  std::int64_t (*partials)(std::int64_t n);  // partial sums of da, one for each task
  void (*forward)(std::int64_t n, const float* x, const float* a, float* y);
  // partial: partials(n) doubles
  void (*backward)(std::int64_t n, const float* x, const float* a, const float* dy, float* dx,
                   float* da, double* partial);
};

}  // namespace sentei::kernels
SENTEI_KERNEL_TABLE(PreluKernels, prelu_kernels)
