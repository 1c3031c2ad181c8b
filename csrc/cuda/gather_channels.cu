// Channels of the active group, side by side: a thread an element of the result, neighbours in one
// pixel, so that a contiguous group is read in whole sectors. 8 bytes move per element. A group
// that is out of range has no channels, and a channel out of range is 0.
#include "cuda/device/elementwise.cuh"
#include "cuda/device/semi_sync_rows.cuh"
#include "cuda/table.cuh"
#include "kernels/gather_channels.hpp"

namespace sentei::cuda {
namespace {

using kernels::SemiSyncRows;

constexpr int kThreads = 256;

__global__ void __launch_bounds__(kThreads)
    gather_channels_forward_kernel(SemiSyncRows r, std::int64_t n, const float* x, float* y) {
  const Active a = active_of(r);
  const std::int64_t step = std::int64_t{gridDim.x} * kThreads;
  for (std::int64_t i = std::int64_t{blockIdx.x} * kThreads + threadIdx.x; i < n; i += step) {
    const std::int64_t pixel = i / r.dw_rows, k = i - pixel * r.dw_rows;
    const std::int64_t c = k < a.count ? r.rows[a.begin + k] : -1;
    y[i] = c >= 0 && c < r.count ? x[pixel * r.count + c] : 0.0f;
  }
}

void forward(const SemiSyncRows& r, std::int64_t pixels, const float* x, float* y) {
  const std::int64_t n = pixels * r.dw_rows;
  launch("gather_channels_forward_kernel", gather_channels_forward_kernel,
         blocks_for(n, kThreads, 8192), kThreads, 0, r, n, x, y);
}

}  // namespace
}  // namespace sentei::cuda
SENTEI_CUDA_TABLE(GatherChannelsKernels, gather_channels_kernels, forward)
