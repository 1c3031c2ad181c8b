// Sum or mean of the samples' losses, in double and in order; 0 if there are none.
#pragma once
#include "cpu/simd.hpp"

namespace sentei::cpu::SENTEI_ISA {

SENTEI_INLINE void sum_losses(std::int64_t n, const float* per_sample, bool mean, float* loss) {
  double total = 0;
  for (std::int64_t i = 0; i < n; ++i) total += static_cast<double>(per_sample[i]);
  *loss = static_cast<float>(mean && n ? total / static_cast<double>(n) : total);
}

}  // namespace sentei::cpu::SENTEI_ISA
