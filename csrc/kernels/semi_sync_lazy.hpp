// The semi-synchronous update that leaves idle groups alone. coef (groups, 2) holds m and c of each
// group: k steps after w and v were written, the momentum is m v and the weight w + c v.
#pragma once
#include "kernels/linear_lazy.hpp"
#include "kernels/semi_sync.hpp"

namespace sentei::kernels {

struct SemiSyncLazyKernels {
  // Rows of the active group: w += c v, v *= m, then v = momentum v - lr (dw + decay w), w += v,
  // and their m = 1, c = 0. The other groups: m *= momentum, c += m. dw is compact. The CPU's
  // indices are checked; elsewhere a group whose number or offsets are out of range has no rows,
  // and a row out of range is left out.
  void (*update)(const SemiSyncRows& rows, float* w, const float* dw, float* v, float* coef,
                 const float* lr, float momentum, float decay);
  // All rows: w += c v, v *= m; then m = 1, c = 0 everywhere. A row whose group is out of range is
  // left alone (elsewhere than on the CPU).
  void (*materialise)(std::int64_t rows, std::int64_t width, float* w, float* v, float* coef,
                      const std::int32_t* group_of, std::int64_t groups);
  // out = w + c v; nothing else changes.
  void (*weight)(std::int64_t rows, std::int64_t width, const LazyWeight& weight, float* out);
};

}  // namespace sentei::kernels
SENTEI_KERNEL_TABLE(SemiSyncLazyKernels, semi_sync_lazy_kernels)
