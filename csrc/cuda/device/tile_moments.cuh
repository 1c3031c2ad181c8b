// Mean and scatter (sum of squares about the mean) of the columns of a block's tile of results,
// while these are still in registers. A thread sums its own few rows about the first of them, so
// nothing cancels and a constant column has scatter 0; then pairs of lanes, then the warps above
// one another are joined by
//   mean = mean_a + d n_b / n, scatter = scatter_a + scatter_b + d^2 n_a n_b / n, d = mean_b -
//   mean_a.
// Lanes that differ in one bit share the work: each gives half of its columns away and joins the
// other half. Order: rows of a thread, lanes by bit, warps ascending; sizes alone fix it. Written:
// [tile][mean, scatter][K], 8 bytes per column and tile, all of them in neighbouring threads.
#pragma once
#include "cuda/launch.cuh"

namespace sentei::cuda {

struct Moments {
  float mean, scatter;
};

// What the second of two sets weighs in their join.
struct MomentsShare {
  float share, weight;
  __device__ __forceinline__ MomentsShare(int first, int second)
      : share(second > 0 ? static_cast<float>(second) / static_cast<float>(first + second) : 0.0f),
        weight(static_cast<float>(first) * share) {}
};

__device__ __forceinline__ Moments join(const Moments& a, const Moments& b,
                                        const MomentsShare& of_b) {
  const float d = b.mean - a.mean;
  return {fmaf(d, of_b.share, a.mean), a.scatter + b.scatter + d * d * of_b.weight};
}

// Of value(0) ... value(count - 1), count <= Rows.
template <int Rows, class Value>
__device__ __forceinline__ Moments moments_of(int count, float one_by_count, const Value& value) {
  const float first = value(0);
  float sum = 0.0f, squares = 0.0f;
#pragma unroll
  for (int i = 1; i < Rows; ++i) {
    const float d = i < count ? value(i) - first : 0.0f;
    sum += d;
    squares = fmaf(d, d, squares);
  }
  const float scatter = squares - sum * sum * one_by_count;
  return {count > 0 ? fmaf(sum, one_by_count, first) : 0.0f, scatter < 0.0f ? 0.0f : scatter};
}

// Joins the columns of lanes that differ in `Bit` of their number; N columns before, N / 2 after.
// The lane with the bit keeps the upper half. A last column both lanes join and keep.
template <int Bit, int N, int Most>
__device__ __forceinline__ void join_lanes(Moments (&m)[Most], int& count, int lane) {
  constexpr unsigned all = 0xffffffffu;
  const bool high = (lane & Bit) != 0;
  const int other = __shfl_xor_sync(all, count, Bit);
  const MomentsShare of_other(count, other);
  constexpr int kept = N > 1 ? N / 2 : 1;
#pragma unroll
  for (int j = 0; j < kept; ++j) {
    const Moments keep = N > 1 && high ? m[N - kept + j] : m[j];
    const Moments give = N > 1 && !high ? m[N - kept + j] : m[j];
    const Moments got = {__shfl_xor_sync(all, give.mean, Bit),
                         __shfl_xor_sync(all, give.scatter, Bit)};
    m[j] = join(keep, got, of_other);
  }
  count += other;
}

// A block of `Groups` warps above one another over `Columns` columns of the tile.
template <int Groups, int Columns, int Threads>
class TileMoments {
 public:
  static constexpr int kBytes = Groups * (2 * Columns + 1) * static_cast<int>(sizeof(float));
  __device__ __forceinline__ explicit TileMoments(void* shared)
      : mean_(static_cast<float*>(shared)), rows_(reinterpret_cast<int*>(mean_ + 2 * kAll)) {}

  // By the one lane that has this column of its warp's rows at last.
  __device__ __forceinline__ void put(int group, int column, const Moments& m) {
    mean_[group * Columns + column] = m.mean;
    mean_[kAll + group * Columns + column] = m.scatter;
  }
  __device__ __forceinline__ void put_rows(int group, int rows) { rows_[group] = rows; }

  // After a barrier. The first `live` columns to means[i] and scatters[i].
  __device__ __forceinline__ void write(int live, float* means, float* scatters) const {
    for (int i = static_cast<int>(threadIdx.x); i < Columns && i < live; i += Threads) {
      Moments m = {mean_[i], mean_[kAll + i]};
      int rows = rows_[0];
#pragma unroll
      for (int g = 1; g < Groups; ++g) {
        const Moments next = {mean_[g * Columns + i], mean_[kAll + g * Columns + i]};
        m = join(m, next, MomentsShare(rows, rows_[g]));
        rows += rows_[g];
      }
      means[i] = m.mean;
      scatters[i] = m.scatter;
    }
  }

 private:
  static constexpr int kAll = Groups * Columns;
  float* mean_;
  int* rows_;
};

}  // namespace sentei::cuda
