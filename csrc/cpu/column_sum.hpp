// sum[k] = sum over rows of a[row][k]: bias gradients. Summed in chunks, then in slots, in an order
// that depends on (rows, columns) alone.
#pragma once
#include <cstddef>
#include <cstdint>

namespace sentei::cpu {

struct ColumnSumTierKernels {
  void (*run)(std::int64_t rows, std::int64_t columns, std::int64_t slots, const float* a,
              float* sum, float* workspace);
};

}  // namespace sentei::cpu
