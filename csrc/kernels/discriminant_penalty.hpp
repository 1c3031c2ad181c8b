#pragma once
#include <cstdint>

#include "kernels/table.hpp"

namespace sentei::kernels {

constexpr std::int64_t kDiscriminantScratch = 6;  // doubles per class

struct DiscriminantPenaltyKernels {
  void (*forward)(std::int64_t n, std::int64_t k, const float* y, const std::int64_t* labels,
                  double lam, float* value, float* within, float* total, float* ratio,
                  double* scratch);
  void (*backward)(std::int64_t n, std::int64_t k, const float* y, const std::int64_t* labels,
                   const float* dvalue, double lam, float* dy, double* scratch);
};

}  // namespace sentei::kernels
SENTEI_KERNEL_TABLE(DiscriminantPenaltyKernels, discriminant_penalty_kernels)
