// The rows of the active group, read on the device. A group, an offset or a row that is out of
// range cannot raise here: such rows are skipped, and what was in the output stays.
#pragma once
#include "cuda/device/portable.cuh"
#include "kernels/linear.hpp"

namespace sentei::cuda {

// The row number of the m-th active row among `all`, or -1.
__device__ __forceinline__ std::int32_t active_row(const kernels::ActiveRows& a, std::int64_t m,
                                                   std::int64_t all) {
  const std::int32_t group = *a.group;
  if (group < 0 || group >= a.groups || m >= a.most) return -1;
  const std::int64_t begin = a.offsets[group], end = a.offsets[group + 1];
  if (begin < 0 || end > all || m >= end - begin) return -1;
  const std::int32_t row = a.rows[begin + m];
  return row >= 0 && row < all ? row : -1;
}

}  // namespace sentei::cuda
