// Mean and biased variance of the columns of x (rows, C), rows above 0, to the same bits as a
// training batch norm has them. What conv2d_statistics runs behind the convolution.
#pragma once
#include <cstddef>
#include <cstdint>

namespace sentei::cpu {

struct ColumnStatisticsKernels {
  std::size_t (*workspace)(std::int64_t rows, std::int64_t C);
  void (*run)(std::int64_t rows, std::int64_t C, const float* x, float* mean, float* var,
              std::byte* workspace);
};

}  // namespace sentei::cpu
