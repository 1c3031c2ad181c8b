// Where the rows of the active group are listed, read on the device. Nothing can be refused here: a
// group that is out of range, or whose offsets are, has no rows.
#pragma once
#include "cuda/device/portable.cuh"
#include "kernels/semi_sync.hpp"

namespace sentei::cuda {

struct Active {
  std::int64_t begin, count;
  std::int64_t group;  // -1: out of range
};

__device__ __forceinline__ Active active_of(const kernels::SemiSyncRows& r) {
  const std::int64_t t = r.wide ? *static_cast<const std::int64_t*>(r.group)
                                : *static_cast<const std::int32_t*>(r.group);
  if (t < 0 || t >= r.groups) return {0, 0, -1};
  const std::int64_t begin = r.offsets[t], end = r.offsets[t + 1];
  const bool good = begin >= 0 && begin <= end && end <= r.count && end - begin <= r.dw_rows;
  return good ? Active{begin, end - begin, t} : Active{0, 0, -1};
}

}  // namespace sentei::cuda
