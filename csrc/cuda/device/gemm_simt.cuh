// The core of exact products: acc (BM, BN) += A (BM, depth) B (depth, BN) with float32 FMAs.
//
// A block keeps kStages slices of A and B of depth 16 in shared memory; loaders fill them with
// cp.async while earlier ones are in use, so one barrier a slice is enough. A thread sums TM x TN
// elements in registers. An operand lies as its tensor does: `inner`, the depth along a row (a
// thread reads 2 or 4 depths of an element at once; the pitch of 20 floats keeps 8 neighbours in 8
// different bank groups), or `outer`, a row for each depth (a thread reads 4 neighbours at once).
// Order of accumulation: one chain per element, depth ascending.
#pragma once
#include "cuda/launch.cuh"

namespace sentei::cuda {

constexpr int kSlice = 16, kStages = 3;

enum class Lies { inner, outer };

template <int BM_, int BN_, int TM_, int TN_, int Resident>
struct SimtTile {
  static constexpr int BM = BM_, BN = BN_, TM = TM_, TN = TN_;
  static constexpr int TY = BM / TM, TX = BN / TN, threads = TY * TX, resident = Resident;
  // A warp is 4 x 8 threads: its reads of A and B are one pass through the banks each.
  static_assert(TY % 4 == 0 && TX % 8 == 0 && TM % 4 == 0 && TN % 4 == 0);
  int row, column;  // this thread's place among TY x TX

  __device__ __forceinline__ SimtTile() {
    const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
    row = warp / (TX / 8) * 4 + lane / 8;
    column = warp % (TX / 8) * 8 + lane % 8;
  }
};

// Where the thread's i-th element of an operand is: neighbours in threads, or fours in a thread.
template <Lies L, int Threads>
__device__ __forceinline__ int element_at(int thread, int i) {
  return L == Lies::inner ? thread + i * Threads : i / 4 * 4 * Threads + thread * 4 + i % 4;
}

template <Lies L, int Size>
struct Slice {
  static constexpr int pitch = L == Lies::inner ? kSlice + 4 : Size;
  static constexpr int floats = L == Lies::inner ? Size * pitch : kSlice * pitch;
  static constexpr int rows = L == Lies::inner ? Size : kSlice;
  static constexpr int columns = L == Lies::inner ? kSlice : Size;
};

template <class Tile, Lies A, Lies B>
constexpr std::size_t gemm_shared_bytes() {
  return kStages * sizeof(float) * (Slice<A, Tile::BM>::floats + Slice<B, Tile::BN>::floats);
}

// The part of a slice that a thread copies: V floats in one column, in rows `step` apart.
template <Lies L, int Size, int V, int Threads>
struct Pieces {
  using S = Slice<L, Size>;
  static constexpr int per_row = S::columns / V, step = Threads / per_row, count = S::rows / step;
  static_assert(Threads % per_row == 0 && S::rows % step == 0);
  int row, column;

  __device__ __forceinline__ Pieces()
      : row(static_cast<int>(threadIdx.x) / per_row),
        column(static_cast<int>(threadIdx.x) % per_row * V) {}
  __device__ __forceinline__ void copy(float* slice, int i, const float* from, bool valid) const {
    cp_async<4 * V>(slice + (row + i * step) * S::pitch + column, from, valid ? 4 * V : 0);
  }
};

__device__ __forceinline__ void load4(float* to, const float* from) {
  const float4 v = *reinterpret_cast<const float4*>(from);
  to[0] = v.x, to[1] = v.y, to[2] = v.z, to[3] = v.w;
}

// N depths of an inner operand at once.
template <int N>
__device__ __forceinline__ void load_depths(float* to, const float* from) {
  if constexpr (N == 4) {
    load4(to, from);
  } else {
    const float2 v = *reinterpret_cast<const float2*>(from);
    to[0] = v.x, to[1] = v.y;
  }
}

template <class Tile, Lies A, Lies B>
__device__ __forceinline__ void accumulate_slice(const Tile& at, const float* a, const float* b,
                                                 float (&acc)[Tile::TM][Tile::TN]) {
  constexpr int TM = Tile::TM, TN = Tile::TN;
  constexpr int pitch_a = Slice<A, Tile::BM>::pitch, pitch_b = Slice<B, Tile::BN>::pitch;
  // Depths in registers, and how far the loop is unrolled: as much as there is room for.
  constexpr int N = B == Lies::inner || (A == Lies::inner && TM * TN < 64) ? 4 : 2;
  [[maybe_unused]] constexpr int unroll = A == Lies::outer && TM * TN < 64 ? 2 : 1;
#pragma unroll(unroll)
  for (int d = 0; d < kSlice; d += N) {
    float deep_a[A == Lies::inner ? TM : 1][N];
    if constexpr (A == Lies::inner) {
#pragma unroll
      for (int i = 0; i < TM; ++i)
        load_depths<N>(deep_a[i], a + (at.row + i * Tile::TY) * pitch_a + d);
    }
    if constexpr (B == Lies::inner) {
      static_assert(A == Lies::inner);
#pragma unroll
      for (int j = 0; j < TN; ++j) {
        float deep_b[N];
        load_depths<N>(deep_b, b + (at.column + j * Tile::TX) * pitch_b + d);
#pragma unroll
        for (int e = 0; e < N; ++e)
#pragma unroll
          for (int i = 0; i < TM; ++i) acc[i][j] = fmaf(deep_a[i][e], deep_b[e], acc[i][j]);
      }
    } else {
#pragma unroll
      for (int e = 0; e < N; ++e) {
        float now_a[TM], now_b[TN];
#pragma unroll
        for (int i = 0; i < TM; i += 4) {
          if constexpr (A == Lies::outer) {
            load4(now_a + i, a + (d + e) * pitch_a + element_at<A, Tile::TY>(at.row, i));
          } else {
#pragma unroll
            for (int k = 0; k < 4; ++k) now_a[i + k] = deep_a[i + k][e];
          }
        }
#pragma unroll
        for (int j = 0; j < TN; j += 4)
          load4(now_b + j, b + (d + e) * pitch_b + element_at<B, Tile::TX>(at.column, j));
#pragma unroll
        for (int i = 0; i < TM; ++i)
#pragma unroll
          for (int j = 0; j < TN; ++j) acc[i][j] = fmaf(now_a[i], now_b[j], acc[i][j]);
      }
    }
  }
}

// acc += the product of `steps` slices; load_a(slice, step) and load_b copy this thread's part.
template <class Tile, Lies A, Lies B, class LoadA, class LoadB>
__device__ __forceinline__ void multiply(const Tile& at, float* shared, int steps,
                                         const LoadA& load_a, const LoadB& load_b,
                                         float (&acc)[Tile::TM][Tile::TN]) {
  constexpr int floats_a = Slice<A, Tile::BM>::floats;
  constexpr int floats = floats_a + Slice<B, Tile::BN>::floats;
  const auto load = [&](int step, int stage) {
    if (step < steps) {
      load_a(shared + stage * floats, step);
      load_b(shared + stage * floats + floats_a, step);
    }
    cp_async_commit();
  };
#pragma unroll
  for (int s = 0; s < kStages - 1; ++s) load(s, s);
  int stage = 0, next = kStages - 1;
  for (int step = 0; step < steps; ++step) {
    cp_async_wait<kStages - 2>();
    __syncthreads();  // this slice is there for all, and all have read the one before it
    load(step + kStages - 1, next);
    const float* const slice = shared + stage * floats;
    accumulate_slice<Tile, A, B>(at, slice, slice + floats_a, acc);
    next = stage;
    stage = stage + 1 == kStages ? 0 : stage + 1;
  }
}

template <int TM, int TN>
__device__ __forceinline__ void clear(float (&acc)[TM][TN]) {
#pragma unroll
  for (int i = 0; i < TM; ++i)
#pragma unroll
    for (int j = 0; j < TN; ++j) acc[i][j] = 0.0f;
}

// One row of acc to `to`, the row's first column of this block; `left` columns are there. Fours
// when V is 4 and B lies outer: then `left` is a multiple of 4 and `to` aligned.
template <class Tile, Lies B, int V>
__device__ __forceinline__ void store_row(const Tile& at, const float (&acc)[Tile::TN], float* to,
                                          std::int64_t left) {
#pragma unroll
  for (int j = 0; j < Tile::TN; j += 4) {
    if constexpr (B == Lies::outer && V == 4) {
      const int n = element_at<B, Tile::TX>(at.column, j);
      if (n < left)
        *reinterpret_cast<float4*>(to + n) =
            make_float4(acc[j], acc[j + 1], acc[j + 2], acc[j + 3]);
    } else {
#pragma unroll
      for (int k = j; k < j + 4; ++k) {
        const int n = element_at<B, Tile::TX>(at.column, k);
        if (n < left) to[n] = acc[k];
      }
    }
  }
}

}  // namespace sentei::cuda
