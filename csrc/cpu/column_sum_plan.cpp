#include <algorithm>

#include "cpu/column_sum.hpp"
#include "cpu/gemm_types.hpp"
#include "cpu/isa.hpp"

namespace sentei::cpu {

SENTEI_KERNEL_TABLE(ColumnSumKernels, column_sum_kernels)

namespace {

std::int64_t slots(std::int64_t rows, std::int64_t columns) {
  return std::clamp<std::int64_t>(std::min(rows / 64, rows * columns / 16384), 1, 32);
}

}  // namespace

std::size_t column_sum_workspace(std::int64_t rows, std::int64_t columns) {
  return static_cast<std::size_t>(slots(rows, columns) * padded(columns)) * sizeof(float);
}

void column_sum(std::int64_t rows, std::int64_t columns, const float* a, float* sum,
                void* workspace) {
  column_sum_kernels().run(rows, columns, slots(rows, columns), a, sum,
                           static_cast<float*>(workspace));
}

}  // namespace sentei::cpu
