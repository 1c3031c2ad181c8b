#pragma once
#include <cstdint>

#include "kernels/table.hpp"

namespace sentei::kernels {

struct SemiSyncRows {
  std::int64_t count, width;    // rows of w and elements per row
  const std::int32_t* rows;     // (count): all rows, group by group
  const std::int32_t* offsets;  // (groups + 1): group t is rows[offsets[t]] to rows[offsets[t + 1]]
  std::int64_t groups;
  const void* group;  // (1): the active group, int32 or int64
  bool wide;          // it is int64
  bool compact;       // dw holds active rows only, in the order of `rows`
  std::int64_t dw_rows;
  // CPU: per row its index in the active group, or -1; the checks fill it. Others: not used.
  const std::int32_t* place;
};

struct SemiSyncKernels {
  // The CPU's indices are checked. Elsewhere a group whose number or offsets are out of range has
  // no rows, and a row out of range is left out. v null: active rows only, w -= lr (dw + decay w).
  // Otherwise v = momentum v - lr (dw + decay w) on active rows, v = momentum v on the others, then
  // w += v on all.
  void (*update)(const SemiSyncRows& rows, float* w, const float* dw, float* v, const float* lr,
                 float momentum, float decay);
  // counter (1), int32 or (wide) int64: (counter + 1) mod modulo, 0: no wrap. Elsewhere than on the
  // CPU, whose counter is checked, one that is negative or has no room above stays.
  void (*advance)(void* counter, bool wide, std::int64_t modulo);
};

}  // namespace sentei::kernels
SENTEI_KERNEL_TABLE(SemiSyncKernels, semi_sync_kernels)
