#include <algorithm>

#include "cpu/column_sum.hpp"
#include "cpu/gemm_types.hpp"
#include "cpu/isa.hpp"
#include "kernels/column_sum.hpp"

namespace sentei::cpu {

SENTEI_PICK_TIER(ColumnSumTierKernels, column_sum_tier_kernels)

namespace {

std::int64_t slots(std::int64_t rows, std::int64_t columns) {
  return std::clamp<std::int64_t>(std::min(rows / 64, rows * columns / 16384), 1, 32);
}

std::size_t workspace(std::int64_t rows, std::int64_t columns) {
  return static_cast<std::size_t>(slots(rows, columns) * padded(columns)) * sizeof(float);
}

void run(std::int64_t rows, std::int64_t columns, const float* a, float* sum, void* workspace) {
  column_sum_tier_kernels().run(rows, columns, slots(rows, columns), a, sum,
                                static_cast<float*>(workspace));
}

}  // namespace

const kernels::ColumnSumKernels& column_sum_kernels() {
  static constexpr kernels::ColumnSumKernels table = {workspace, run};
  return table;
}

}  // namespace sentei::cpu
