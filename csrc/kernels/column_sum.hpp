// sum[k] = sum over rows of a[row][k]: bias gradients. The order of the sum depends on (rows,
// columns) alone.
#pragma once
#include <cstddef>
#include <cstdint>

#include "kernels/table.hpp"

namespace sentei::kernels {

struct ColumnSumKernels {
  std::size_t (*workspace)(std::int64_t rows, std::int64_t columns);
  void (*run)(std::int64_t rows, std::int64_t columns, const float* a, float* sum, void* workspace);
};

}  // namespace sentei::kernels
SENTEI_KERNEL_TABLE(ColumnSumKernels, column_sum_kernels)
