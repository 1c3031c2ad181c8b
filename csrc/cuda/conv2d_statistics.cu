// y = conv(x, w) + bias, and mean and biased variance of y's channels. The block that computes a
// tile of y leaves sums about a value of each column (device/tile_moments.cuh); one kernel moves
// them about the first pixel and adds them up in double: a block has 8 channels and 128 parts, a
// part takes every 128th tile, parts are added as a tree. 12 bytes per channel and tile are written
// and read, 0.19 per element of y at 128 rows. Where the depth is split, or channels are convolved
// one by one, y is read again instead: the statistics pass of batch norm, 4 bytes per element.
#include <algorithm>

#include "cuda/conv2d_depthwise.hpp"
#include "cuda/conv2d_mma.hpp"
#include "cuda/conv2d_simt.hpp"
#include "cuda/device/batch_norm.cuh"
#include "cuda/device/reduce.cuh"
#include "cuda/device/tile_moments.cuh"
#include "cuda/table.cuh"
#include "kernels/conv2d_statistics.hpp"

namespace sentei::cuda {
namespace {

using std::int64_t;

constexpr int kJoinThreads = 1024, kJoinChannels = 8, kJoinParts = kJoinThreads / kJoinChannels;

struct Tiles {
  const float* moments;  // (tiles, 3, K)
  int64_t tiles, K, rows;
  int tile_rows;  // the last tile may have fewer
};

__global__ void __launch_bounds__(kJoinThreads)
    conv2d_statistics_join_kernel(const Tiles t, float* mean, float* var) {
  SENTEI_SHARED(double, warps, [2][32][kJoinChannels]);
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  const int64_t first = int64_t{blockIdx.x} * kJoinChannels, c = first + lane % kJoinChannels;
  double sum = 0, squares = 0;
  if (c < t.K) {
    const double shift = t.moments[c];
#pragma unroll 4
    for (int64_t i = threadIdx.x / kJoinChannels; i < t.tiles; i += kJoinParts) {
      const float* const at = t.moments + i * kMoments * t.K + c;
      const double d = at[0] - shift, own = at[t.K];
      const int64_t left = t.rows - i * t.tile_rows;
      const auto n = static_cast<double>(left < t.tile_rows ? left : t.tile_rows);
      sum += own + n * d;
      squares += at[2 * t.K] + d * (2 * own + n * d);
    }
  }
#pragma unroll
  for (int bit = kJoinChannels; bit < 32; bit *= 2) {
    sum += __shfl_xor_sync(kFullWarp, sum, bit);
    squares += __shfl_xor_sync(kFullWarp, squares, bit);
  }
  if (lane < kJoinChannels) {
    warps[0][warp][lane] = sum;
    warps[1][warp][lane] = squares;
  }
  __syncthreads();
  if (warp >= kJoinChannels) return;
  // Now a warp has a channel.
  const double n = static_cast<double>(t.rows);
  const double d = warp_sum(warps[0][lane][warp]) / n;
  const double raw = warp_sum(warps[1][lane][warp]) / n - d * d;
  if (lane != 0 || first + warp >= t.K) return;
  mean[first + warp] = static_cast<float>(t.moments[first + warp] + d);
  var[first + warp] = static_cast<float>(raw < 0 ? 0 : raw);
}

int64_t rows_of(const Conv2dGeometry& g) { return g.N * g.P * g.Q; }

// Rows of the tiles whose kernel gives moments, or 0.
int tile_rows(const Conv2dGeometry& g, Precision p) {
  if (conv2d_mma_takes(g, p)) return conv2d_mma_moments_rows(g, p);
  return g.depthwise() ? 0 : conv2d_simt_moments_rows(g);
}

std::size_t forward_bytes(const Conv2dGeometry& g, Precision p) {
  if (conv2d_mma_takes(g, p)) return conv2d_mma_forward_workspace(g, p);
  return g.depthwise() ? 0 : conv2d_simt_forward_workspace(g);
}

std::size_t workspace_bytes(const Conv2dGeometry& g, Precision p) {
  const std::size_t forward = forward_bytes(g, p);
  const int tile = tile_rows(g, p);
  if (tile > 0)
    return static_cast<std::size_t>(ceil_div(rows_of(g), tile) * kMoments * g.K) * sizeof(float) +
           forward;
  return std::max(forward, norm_workspace(norm_doubles(rows_of(g), g.K), g.K));
}

void forward(const Conv2dGeometry& g, Precision p, const float* x, const float* w,
             const float* bias, float* y, float* mean, float* var, void* workspace) {
  const int tile = tile_rows(g, p);
  auto* const behind = static_cast<std::byte*>(workspace) + forward_bytes(g, p);
  float* const moments = tile > 0 ? reinterpret_cast<float*>(behind) : nullptr;
  if (conv2d_mma_takes(g, p))
    mma_forward("conv2d_statistics_mma_kernel", g, p, x, w, bias, false, y, workspace, moments);
  else if (g.depthwise())
    conv2d_depthwise_forward(g, x, w, bias, false, y);
  else
    conv2d_simt_forward(g, x, w, bias, false, y, workspace, moments);
  if (moments) {
    const Tiles tiles = {moments, ceil_div(rows_of(g), tile), g.K, rows_of(g), tile};
    launch("conv2d_statistics_join_kernel", conv2d_statistics_join_kernel,
           static_cast<unsigned>(ceil_div(g.K, kJoinChannels)), kJoinThreads, 0, tiles, mean, var);
  } else {
    batch_statistics(rows_of(g), g.K, y, static_cast<double*>(workspace),
                     FinishMoments{rows_of(g), y, mean, var});
  }
}

}  // namespace
}  // namespace sentei::cuda
SENTEI_CUDA_TABLE(Conv2dStatisticsKernels, conv2d_statistics_kernels, workspace_bytes, forward)
