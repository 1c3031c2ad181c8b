// sum[k] = sum over rows of a[row][k]: bias gradients. Summed in chunks, then in slots, in an order
// that depends on (rows, columns) alone.
#pragma once
#include <cstddef>
#include <cstdint>

namespace sentei::cpu {

struct ColumnSumKernels {
  void (*run)(std::int64_t rows, std::int64_t columns, std::int64_t slots, const float* a,
              float* sum, float* workspace);
};

// Bytes, aligned to 64.
std::size_t column_sum_workspace(std::int64_t rows, std::int64_t columns);
void column_sum(std::int64_t rows, std::int64_t columns, const float* a, float* sum,
                void* workspace);

}  // namespace sentei::cpu
