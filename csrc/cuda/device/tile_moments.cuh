// Moments of the columns of a block's tile of results, while these are still in registers: with d =
// value - first, a value of the column, the sums of d and d^2. So nothing cancels (d^2 exceeds the
// scatter of 128 rows at most 128 times), a constant column has sums of exactly 0, and no rounded
// mean comes between. A warp takes its own first row as `first`; its lanes add their rows, then
// lanes that differ in one bit share the work: each gives half of its columns away and adds the
// other half. The warps above one another are added last, about the first of the tile. Order: rows
// of a thread, lanes by bit, warps ascending; sizes alone fix it. Written: [tile][first, sum,
// squares][K], 12 bytes per column and tile, by neighbouring threads.
#pragma once
#include "cuda/launch.cuh"

namespace sentei::cuda {

struct Moments {
  float first, sum, squares;
};
constexpr int kMoments = 3;

// Of value(0) ... value(count - 1), count <= Rows; `first` is value(0) of lane `source`.
template <int Rows, class Value>
__device__ __forceinline__ Moments moments_of(int count, int source, const Value& value) {
  Moments m = {__shfl_sync(0xffffffffu, value(0), source), 0.0f, 0.0f};
#pragma unroll
  for (int i = 0; i < Rows; ++i) {
    const float d = i < count ? value(i) - m.first : 0.0f;
    m.sum += d;
    m.squares = fmaf(d, d, m.squares);
  }
  return m;
}

// Adds the columns of lanes that differ in `Bit` of their number; N columns before, N / 2 after.
// The lane with the bit keeps the upper half.
template <int Bit, int N, int Most>
__device__ __forceinline__ void add_lanes(Moments (&m)[Most], int lane) {
  static_assert(N % 2 == 0 && N <= Most);
  constexpr unsigned all = 0xffffffffu;
  const bool high = (lane & Bit) != 0;
#pragma unroll
  for (int j = 0; j < N / 2; ++j) {
    const Moments keep = high ? m[N / 2 + j] : m[j], give = high ? m[j] : m[N / 2 + j];
    m[j] = {keep.first, keep.sum + __shfl_xor_sync(all, give.sum, Bit),
            keep.squares + __shfl_xor_sync(all, give.squares, Bit)};
  }
}

// A block of `Groups` warps above one another over `Columns` columns of the tile.
template <int Groups, int Columns, int Threads>
class TileMoments {
 public:
  static constexpr int kBytes = Groups * kMoments * Columns * static_cast<int>(sizeof(float));
  __device__ __forceinline__ explicit TileMoments(void* shared)
      : parts_(static_cast<float*>(shared)) {}

  // By the one lane that has this column of its warp's rows at last.
  __device__ __forceinline__ void put(int group, int column, const Moments& m) {
    float* const to = parts_ + group * kMoments * Columns + column;
    to[0] = m.first;
    to[Columns] = m.sum;
    to[2 * Columns] = m.squares;
  }

  // After a barrier: the first `live` columns to `out` and the two rows of K behind it. rows(g):
  // how many rows group g has.
  template <class Rows>
  __device__ __forceinline__ void write(int live, const Rows& rows, float* out,
                                        std::int64_t K) const {
    for (int i = static_cast<int>(threadIdx.x); i < Columns && i < live; i += Threads) {
      float sum = parts_[Columns + i], squares = parts_[2 * Columns + i];
#pragma unroll
      for (int g = 1; g < Groups; ++g) {
        const float* const part = parts_ + g * kMoments * Columns + i;
        const float n = static_cast<float>(rows(g)), own = part[Columns];
        const float d = n > 0.0f ? part[0] - parts_[i] : 0.0f;
        sum += own + n * d;
        squares += part[2 * Columns] + d * (2.0f * own + n * d);
      }
      out[i] = parts_[i];
      out[K + i] = sum;
      out[2 * K + i] = squares;
    }
  }

 private:
  float* parts_;
};

}  // namespace sentei::cuda
