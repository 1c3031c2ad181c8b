#pragma once
#include <cstdint>

#include "kernels/table.hpp"

namespace sentei::kernels {

constexpr std::int64_t kPreluBlock = 16384;  // elements per task, one partial sum of da each
inline std::int64_t prelu_tasks(std::int64_t n) { return (n + kPreluBlock - 1) / kPreluBlock; }

struct PreluKernels {
  void (*forward)(std::int64_t n, const float* x, const float* a, float* y);
  // partial: prelu_tasks(n) doubles
  void (*backward)(std::int64_t n, const float* x, const float* a, const float* dy, float* dx,
                   float* da, double* partial);
};

}  // namespace sentei::kernels
SENTEI_KERNEL_TABLE(PreluKernels, prelu_kernels)
