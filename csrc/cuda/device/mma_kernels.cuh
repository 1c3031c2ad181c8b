// The kernels of tensor-core products: mma_sum_kernel (forward, backward_input) and
// mma_weight_kernel (backward_weight). Block (tile, 0, grid * slots + slot); neighbouring blocks
// share their rows of the larger operand. Operands are read ceil(n / kN) and ceil(m / kM) times,
// mostly from L2; results are written once per slot.
#pragma once
#include "cuda/device/mma_load.cuh"
#include "cuda/device/tile_moments.cuh"
#include "cuda/mma_plan.hpp"

namespace sentei::cuda {

// The stages of one slot.
struct MmaSteps {
  int first, count;
  __device__ __forceinline__ MmaSteps(std::int64_t depth, int stage, int slots, int slot) {
    const int steps = static_cast<int>((depth + stage - 1) / stage);
    const int each = (steps + slots - 1) / slots;
    first = slot * each;
    count = max(0, min(each, steps - first));
  }
};

// Lane's columns: where the pair of each 8-column part goes, and how many of it exist.
template <class Tile>
struct MmaColumns {
  int at[Tile::kWarpN / 8], count[Tile::kWarpN / 8];
};

template <class Tile>
__device__ __forceinline__ void add_bias(MmaSums<Tile>& sums, const MmaColumns<Tile>& columns,
                                         const float* bias, bool relu) {
#pragma unroll
  for (int j = 0; j < MmaSums<Tile>::kColumns; ++j) {
    float b[2] = {0.0f, 0.0f};
#pragma unroll
    for (int e = 0; e < 2; ++e)
      if (bias && columns.count[j] > e) b[e] = __ldg(bias + columns.at[j] + e);
#pragma unroll
    for (int i = 0; i < MmaSums<Tile>::kRows; ++i)
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        float& y = sums.at[i][j][e];
        y += b[e % 2];
        y = relu && y < 0.0f ? 0.0f : y;  // NaN stays NaN
      }
  }
}

// row(m) is where row m begins in y, or negative. Four lanes fill a sector of 32 bytes.
template <class Tile, class Row>
__device__ __forceinline__ void store_sums(const MmaSums<Tile>& sums,
                                           const MmaColumns<Tile>& columns, std::int64_t m, Row row,
                                           float* y, bool pairs) {
  const int lane = threadIdx.x % 32;
#pragma unroll
  for (int i = 0; i < MmaSums<Tile>::kRows; ++i)
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const std::int64_t begin = row(m + 16 * i + 8 * half + lane / 4);
      if (begin < 0) continue;
#pragma unroll
      for (int j = 0; j < MmaSums<Tile>::kColumns; ++j) {
        if (columns.count[j] <= 0) continue;
        const float first = sums.at[i][j][2 * half], second = sums.at[i][j][2 * half + 1];
        float* const to = y + begin + columns.at[j];
        if (pairs) {
          *reinterpret_cast<float2*>(to) = make_float2(first, second);
        } else {
          to[0] = first;
          if (columns.count[j] > 1) to[1] = second;
        }
      }
    }
}

// Of the block's tile, whose first `rows` rows are there; to rows of K columns. A lane has every
// eighth row of its warp.
template <class Tile>
__device__ __forceinline__ void column_moments(const MmaSums<Tile>& sums, int rows, int warp_m,
                                               int warp_n, void* shared, int columns, float* out,
                                               int K) {
  constexpr int each = 2 * MmaSums<Tile>::kRows, N = 2 * MmaSums<Tile>::kColumns;
  const int lane = threadIdx.x % 32, count = max(0, (rows - warp_m - lane / 4 + 7) / 8);
  Moments m[N];
#pragma unroll
  for (int j = 0; j < N; ++j)
    m[j] = moments_of<each>(count, lane % 4,
                            [&](int i) { return sums.at[i / 2][j / 2][2 * (i % 2) + j % 2]; });
  add_lanes<4, N>(m, lane);
  add_lanes<8, N / 2>(m, lane);
  add_lanes<16, N / 4>(m, lane);
  TileMoments<Tile::kM / Tile::kWarpM, Tile::kN, Tile::kThreads> tile(shared);
  __syncthreads();  // the operands there are not read any more
  const int first = (lane & 4 ? N / 2 : 0) + (lane & 8 ? N / 4 : 0) + (lane & 16 ? N / 8 : 0);
#pragma unroll
  for (int k = 0; k < N / 8; ++k) {
    const int j = first + k;
    tile.put(warp_m / Tile::kWarpM, warp_n + 8 * (j / 2) + lane % 4 * 2 + j % 2, m[k]);
  }
  __syncthreads();
  const auto rows_of = [rows](int group) {
    return max(0, min(Tile::kWarpM, rows - group * Tile::kWarpM));
  };
  tile.write(columns, rows_of, out, K);
}

template <class Num, class Tile, template <class, class> class Loader, bool WithMoments = false>
__global__ void __launch_bounds__(Tile::kThreads, Tile::kBlocks)
    mma_sum_kernel(const __grid_constant__ MmaSumParams p) {
  SENTEI_DYNAMIC_SHARED(char, shared);
  const MmaGrid& grid = p.grids[blockIdx.z / p.slots];
  const int slot = blockIdx.z % p.slots, tiles_n = (p.K + Tile::kN - 1) / Tile::kN;
  const std::int64_t m0 = std::int64_t{blockIdx.x / tiles_n} * Tile::kM;
  const int n0 = static_cast<int>(blockIdx.x % tiles_n) * Tile::kN;
  const std::int64_t pixels = p.N * grid.P * grid.Q;
  if (m0 >= pixels) return;  // the whole block: a smaller grid than the largest

  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int warp_m = warp / Tile::kWarpsN * Tile::kWarpM;
  const int warp_n = warp % Tile::kWarpsN * Tile::kWarpN;
  const MmaSteps steps(std::int64_t{grid.R} * grid.S * p.channels.padded, Num::kDepth, p.slots,
                       slot);
  MmaSums<Tile> sums;
  {
    Loader<Num, Tile> loader(p, grid, m0, n0, std::int64_t{steps.first} * Num::kDepth);
    multiply<Num>(sums, loader, steps.count, shared, warp_m, warp_n, lane);
  }
  MmaColumns<Tile> columns;
#pragma unroll
  for (int j = 0; j < Tile::kWarpN / 8; ++j) {
    columns.at[j] = n0 + warp_n + 8 * j + lane % 4 * 2;
    columns.count[j] = p.K - columns.at[j];
  }
  const bool dense = p.out_step_h == 1 && p.out_step_w == 1;  // one grid, as large as y
  const auto row = [&](std::int64_t m) -> std::int64_t {
    if (m >= pixels) return -1;
    if (dense) return m * p.K;
    const MmaDigits<std::int64_t> at(m, grid.P, grid.Q);
    return ((at.u * p.out_H + grid.out_h + std::int64_t{at.v} * p.out_step_h) * p.out_W +
            grid.out_w + std::int64_t{at.w} * p.out_step_w) *
           p.K;
  };
  if (p.bias || p.relu) add_bias(sums, columns, p.bias, p.relu);
  store_sums(sums, columns, m0 + warp_m, row, p.y + slot * p.slot_stride, p.pairs);
  if constexpr (WithMoments) {
    const std::int64_t left = pixels - m0;
    column_moments(sums, left < Tile::kM ? static_cast<int>(left) : Tile::kM, warp_m, warp_n,
                   shared, p.K - n0, p.moments + m0 / Tile::kM * kMoments * p.K + n0, p.K);
  }
}

template <class Num, class Tile>
__global__ void __launch_bounds__(Tile::kThreads, Tile::kBlocks)
    mma_weight_kernel(const __grid_constant__ MmaWeightParams p) {
  SENTEI_DYNAMIC_SHARED(char, shared);
  const int width = p.taps * p.channels.padded, tiles_n = (width + Tile::kN - 1) / Tile::kN;
  const int slot = blockIdx.z;
  const std::int64_t m0 = std::int64_t{blockIdx.x / tiles_n} * Tile::kM;
  const int n0 = static_cast<int>(blockIdx.x % tiles_n) * Tile::kN;
  const std::int64_t rows = p.limit.rows(p.K);
  if (m0 >= rows) return;  // the whole block

  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int warp_m = warp / Tile::kWarpsN * Tile::kWarpM;
  const int warp_n = warp % Tile::kWarpsN * Tile::kWarpN;
  const MmaSteps steps(p.N * p.P * p.Q, Num::kDepth, p.slots, slot);
  MmaSums<Tile> sums;
  {
    MmaBackwardWeight<Num, Tile> loader(p, m0, n0, std::int64_t{steps.first} * Num::kDepth);
    multiply<Num>(sums, loader, steps.count, shared, warp_m, warp_n, lane);
  }
  MmaColumns<Tile> columns;
#pragma unroll
  for (int j = 0; j < Tile::kWarpN / 8; ++j) {
    const int n = n0 + warp_n + 8 * j + lane % 4 * 2;
    const int tap = n / p.channels.padded, c = n % p.channels.padded;
    columns.at[j] = tap * p.C + c;
    columns.count[j] = tap < p.taps ? p.C - c : 0;
  }
  const std::int64_t filter = std::int64_t{p.taps} * p.C;
  const auto row = [&](std::int64_t m) { return m < rows ? m * filter : -1; };
  store_sums(sums, columns, m0 + warp_m, row, p.dw + slot * p.slot_stride, p.pairs);
}

using Tile128x128 = MmaTile<128, 128, 64, 64, 3, 2>;
using Tile128x64 = MmaTile<128, 64, 64, 32, 3, 3>;
using Tile64x64 = MmaTile<64, 64, 32, 32, 4, 3>;
using Tile64x32 = MmaTile<64, 32, 32, 32, 4, 4>;

// run.operator()<Num, Tile>() for what the plan chose.
template <class Num, class Run>
void with_mma_tile(MmaShape shape, Run run) {
  switch (shape) {
    case MmaShape::t128x128:
      return run.template operator()<Num, Tile128x128>();
    case MmaShape::t128x64:
      return run.template operator()<Num, Tile128x64>();
    case MmaShape::t64x64:
      return run.template operator()<Num, Tile64x64>();
    case MmaShape::t64x32:
      return run.template operator()<Num, Tile64x32>();
  }
}
template <class Run>
void with_mma(Precision precision, MmaShape shape, Run run) {
  if (precision == Precision::bfloat16)
    with_mma_tile<Bf16>(shape, run);
  else
    with_mma_tile<Tf32>(shape, run);
}

}  // namespace sentei::cuda
