// Products on tensor cores: out (m, n) += a (m, k) b (n, k), tile by tile, float32 sums.
// A block owns kM x kN results. Stages of 128 bytes of k (32 floats or 64 bfloat16) per row of a
// and b travel through shared memory by cp.async, kStages - 1 of them under way while the warps
// work on one; each warp multiplies kWarpM x kWarpN with mma.sync m16n8, four slices of 32 bytes
// of k per stage. Sums run in the order of k, so results do not depend on the schedule.
// An operand lies in its stage either with k contiguous (rows of 128 bytes, read by ldmatrix) or
// with m or n contiguous (kDepth rows of k; bfloat16 by ldmatrix.trans, floats one by one). Rows
// are cut into 16-byte chunks whose place is XORed with the row, so that neither the copies nor
// the reads of a warp meet in a bank.
#pragma once
#include "cuda/launch.cuh"

namespace sentei::cuda {

struct Tf32 {
  using T = float;
  static constexpr int kVec = 4, kDepth = 32;  // elements per chunk; depth of a stage
  static __device__ __forceinline__ std::uint32_t operand(std::uint32_t u) {
    return to_tf32(__uint_as_float(u));
  }
  static __device__ __forceinline__ void mma(float* d, const std::uint32_t* a,
                                             const std::uint32_t* b) {
    mma_tf32(d, a, b, d);
  }
};
struct Bf16 {
  using T = std::uint16_t;
  static constexpr int kVec = 8, kDepth = 64;
  static __device__ __forceinline__ std::uint32_t operand(std::uint32_t u) { return u; }
  static __device__ __forceinline__ void mma(float* d, const std::uint32_t* a,
                                             const std::uint32_t* b) {
    mma_bf16(d, a, b, d);
  }
};

constexpr int kRowBytes = 128, kSlices = 4;

template <int M, int N, int WarpM, int WarpN, int Stages, int Blocks>
struct MmaTile {
  static constexpr int kM = M, kN = N, kWarpM = WarpM, kWarpN = WarpN, kStages = Stages;
  static constexpr int kBlocks = Blocks;  // that a multiprocessor should hold
  static constexpr int kWarpsN = N / WarpN, kThreads = 32 * (M / WarpM) * kWarpsN;
  static constexpr int kStageBytes = (M + N) * kRowBytes, kShared = Stages * kStageBytes;
};

// Where a chunk lies in a tile with k contiguous, in bytes.
__device__ __forceinline__ int chunk_along_k(int row, int chunk) {
  return row * kRowBytes + ((chunk ^ (row & 7)) << 4);
}
// And in a tile of kDepth rows of Width elements.
template <class Num, int Width>
__device__ __forceinline__ int chunk_across_k(int row, int chunk) {
  constexpr int chunks = Width / Num::kVec;
  static_assert(chunks >= 8 || (chunks == 4 && Num::kVec == 8));
  const int turn = Num::kVec == 4 ? (row & 3) << 1 : chunks >= 8 ? row & 7 : (row >> 1) & 3;
  return row * (chunks << 4) + ((chunk ^ turn) << 4);
}

template <class Num, int Width>
__device__ __forceinline__ std::uint32_t word_across_k(const char* tile, int row, int column) {
  return *reinterpret_cast<const std::uint32_t*>(
      tile + chunk_across_k<Num, Width>(row, column >> 2) + ((column & 3) << 2));
}

// 16 rows of a, as mma's first operand takes them.
template <class Num, bool AlongK, int Width>
__device__ __forceinline__ void fragment_a(std::uint32_t* f, const char* tile, int m, int slice,
                                           int lane) {
  if constexpr (AlongK) {
    ldmatrix_x4(f, tile + chunk_along_k(m + lane % 16, 2 * slice + lane / 16));
  } else if constexpr (Num::kVec == 8) {
    const int row = 16 * slice + lane / 16 * 8 + lane % 8;
    ldmatrix_x4_trans(f, tile + chunk_across_k<Num, Width>(row, m / 8 + lane / 8 % 2));
  } else {
#pragma unroll
    for (int j = 0; j < 4; ++j)
      f[j] = word_across_k<Num, Width>(tile, 8 * slice + lane % 4 + 4 * (j >> 1),
                                       m + lane / 4 + 8 * (j & 1));
  }
#pragma unroll
  for (int j = 0; j < 4; ++j) f[j] = Num::operand(f[j]);
}

// 16 rows of b: two of mma's second operands.
template <class Num, bool AlongK, int Width>
__device__ __forceinline__ void fragment_b(std::uint32_t* f, const char* tile, int n, int slice,
                                           int lane) {
  if constexpr (AlongK) {
    const int row = n + lane / 16 * 8 + lane % 8;
    ldmatrix_x4(f, tile + chunk_along_k(row, 2 * slice + lane / 8 % 2));
  } else if constexpr (Num::kVec == 8) {
    const int row = 16 * slice + lane / 8 % 2 * 8 + lane % 8;
    ldmatrix_x4_trans(f, tile + chunk_across_k<Num, Width>(row, n / 8 + lane / 16));
  } else {
#pragma unroll
    for (int j = 0; j < 4; ++j)
      f[j] = word_across_k<Num, Width>(tile, 8 * slice + lane % 4 + 4 * (j & 1),
                                       n + lane / 4 + 8 * (j >> 1));
  }
#pragma unroll
  for (int j = 0; j < 4; ++j) f[j] = Num::operand(f[j]);
}

// The sums of one warp as mma lays them out: lane l has rows l / 4 and l / 4 + 8 of each 16 x 8
// part, columns 2 (l % 4) and the next.
template <class Tile>
struct MmaSums {
  static constexpr int kRows = Tile::kWarpM / 16, kColumns = Tile::kWarpN / 8;
  float at[kRows][kColumns][4] = {};
};

template <class Num, class Tile, bool AAlongK, bool BAlongK>
__device__ __forceinline__ void multiply_stage(MmaSums<Tile>& sums, const char* a, int warp_m,
                                               int warp_n, int lane) {
  const char* const b = a + Tile::kM * kRowBytes;
#pragma unroll
  for (int slice = 0; slice < kSlices; ++slice) {
    std::uint32_t fa[Tile::kWarpM / 16][4], fb[Tile::kWarpN / 16][4];
#pragma unroll
    for (int j = 0; j < Tile::kWarpN / 16; ++j)
      fragment_b<Num, BAlongK, Tile::kN>(fb[j], b, warp_n + 16 * j, slice, lane);
#pragma unroll
    for (int i = 0; i < Tile::kWarpM / 16; ++i)
      fragment_a<Num, AAlongK, Tile::kM>(fa[i], a, warp_m + 16 * i, slice, lane);
#pragma unroll
    for (int i = 0; i < Tile::kWarpM / 16; ++i)
#pragma unroll
      for (int j = 0; j < Tile::kWarpN / 8; ++j)
        Num::mma(sums.at[i][j], fa[i], fb[j / 2] + j % 2 * 2);
  }
}

// All stages: `load(stage)` starts the copies of the next one.
template <class Num, class Tile, class Loader>
__device__ __forceinline__ void multiply(MmaSums<Tile>& sums, Loader& loader, int steps,
                                         char* shared, int warp_m, int warp_n, int lane) {
  constexpr int ahead = Tile::kStages - 1;
#pragma unroll
  for (int s = 0; s < ahead; ++s) {
    if (s < steps) loader.load(shared + s * Tile::kStageBytes);
    cp_async_commit();
  }
  int ready = 0, next = ahead;
  for (int s = 0; s < steps; ++s) {
    cp_async_wait<ahead - 1>();
    __syncthreads();  // this stage is there for all, and nobody reads the last one any more
    if (s + ahead < steps) loader.load(shared + next * Tile::kStageBytes);
    cp_async_commit();
    multiply_stage<Num, Tile, Loader::kAAlongK, Loader::kBAlongK>(
        sums, shared + ready * Tile::kStageBytes, warp_m, warp_n, lane);
    ready = ready + 1 == Tile::kStages ? 0 : ready + 1;
    next = next + 1 == Tile::kStages ? 0 : next + 1;
  }
}

}  // namespace sentei::cuda
