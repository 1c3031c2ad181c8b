#pragma once
#include <cstdint>

#include "kernels/semi_sync.hpp"

namespace sentei::kernels {

struct GatherChannelsKernels {
  // rows.count: channels of x; rows.dw_rows: those of y. y (pixels, dw_rows): first the channels of
  // the active group in the order of `rows`, then zeros. A group or a channel out of range, which
  // the CPU's checks refuse, gives zeros elsewhere.
  void (*forward)(const SemiSyncRows& rows, std::int64_t pixels, const float* x, float* y);
};

}  // namespace sentei::kernels
SENTEI_KERNEL_TABLE(GatherChannelsKernels, gather_channels_kernels)
