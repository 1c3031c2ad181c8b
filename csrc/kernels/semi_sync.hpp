#pragma once
#include <cstdint>

#include "kernels/table.hpp"

namespace sentei::kernels {

struct SemiSyncRows {
  std::int64_t count, width;   // rows of w and elements per row
  const std::int32_t* active;  // rows of the active group
  std::int64_t active_count;
  const std::int32_t* place;  // per row: its index in `active`, or -1
  bool compact;               // dw holds active rows only, in the order of `active`
};

struct SemiSyncKernels {
  // v null: active rows only, w -= lr (dw + decay w). Otherwise v = momentum v - lr (dw + decay w)
  // on active rows, v = momentum v on the others, then w += v on all.
  void (*update)(const SemiSyncRows& rows, float* w, const float* dw, float* v, float lr,
                 float momentum, float decay);
};

}  // namespace sentei::kernels
SENTEI_KERNEL_TABLE(SemiSyncKernels, semi_sync_kernels)
