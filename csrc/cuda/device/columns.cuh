// Rows of channels, mapped or summed per channel. A thread owns V neighbouring columns and every
// row_lanes-th row of its block's slab: its per-channel constants stay in registers, a warp reads
// whole 128-byte lines. Channel counts that are no multiple of V are read as wider rows: k rows of
// C channels make one of width k C, whose column j is channel j mod C; rows left over make one
// short row. Loads come in batches of `Batch` rows, so that many bytes are in flight.
// Sums: float over at most kChunk rows of a thread, then double over its chunks, then over the row
// lanes of the block (a tree), [slabs][Sums][width] partials in the workspace, and one more kernel
// over slabs: an order that (rows, C, V) alone fix.
#pragma once
#include "cuda/device/vectors.cuh"

namespace sentei::cuda {

constexpr int kColumnThreads = 256;
constexpr int kChunk = 64;  // rows summed in float
// One wave of 2 blocks (up to 128 registers) on each of 132 SMs: 64 KB of loads under way per SM.
constexpr std::int64_t kReduceBlocks = 264;
constexpr std::int64_t kMapBlocks = 2112;  // 16 per SM

struct Columns {
  std::int64_t C, rows, width;  // rows of `width` = copies * C elements
  std::int64_t rest;            // elements of the short last row
  std::int64_t slab_rows;       // rows of a block
  int copies, tiles, slabs, lanes, row_lanes;

  dim3 grid() const { return dim3(static_cast<unsigned>(tiles), static_cast<unsigned>(slabs)); }
};

// `batch`: rows that a thread should find at least.
inline Columns columns_of(std::int64_t rows, std::int64_t C, int V, int batch,
                          std::int64_t blocks) {
  Columns v{};
  v.C = C;
  v.copies = V == 1 || C % 4 == 0 ? 1 : C % 2 == 0 ? 2 : 4;
  v.width = C * v.copies;
  v.rows = rows / v.copies;
  v.rest = rows % v.copies * C;
  const std::int64_t vectors = v.width / V;
  v.tiles = vectors <= 64 ? 1 : static_cast<int>(ceil_div(vectors, 32));
  v.lanes = static_cast<int>(ceil_div(vectors, v.tiles));
  v.row_lanes = kColumnThreads / v.lanes;
  const std::int64_t least = std::int64_t{v.row_lanes} * batch;  // rows of a block
  const std::int64_t units = ceil_div(v.rows, least);
  const std::int64_t most = blocks / v.tiles < 1 ? 1 : blocks / v.tiles;
  const std::int64_t each = units < most ? 1 : ceil_div(units, most);
  v.slab_rows = each * least;
  v.slabs = units == 0 ? 1 : static_cast<int>(ceil_div(units, each));
  return v;
}

// Whose columns and rows a thread has. Idle threads still come to barriers.
struct ColumnPlace {
  int lane, row;
  std::int64_t column;
  bool active;
};

template <int V>
__device__ __forceinline__ ColumnPlace column_place(const Columns& v) {
  const int row = static_cast<int>(threadIdx.x) / v.lanes;
  const int lane = static_cast<int>(threadIdx.x) - row * v.lanes;
  const std::int64_t column = (std::int64_t{blockIdx.x} * v.lanes + lane) * V;
  return {lane, row, column, row < v.row_lanes && column < v.width};
}

// The values of V columns' channels in p (C,), or 0 when it is null.
template <int V>
__device__ __forceinline__ Vec<V> channels(const Columns& v, std::int64_t column, const float* p) {
  Vec<V> x{};
  if (!p) return x;
  if constexpr (V == 1) {
    x.v[0] = p[column];
  } else if (v.copies == 1 && reinterpret_cast<std::uintptr_t>(p) % 16 == 0) {
    x = load<V>(p + column);
  } else {
    std::int64_t c = column;
    while (c >= v.C) c -= v.C;  // at most 3 times
#pragma unroll
    for (int e = 0; e < V; ++e) {
      x.v[e] = p[c];
      if (++c == v.C) c = 0;
    }
  }
  return x;
}

// f(row offset, rows, step, live) for this thread's rows of its slab, kMost at a time, and for its
// part of the short row.
template <int V, class F>
__device__ __forceinline__ void for_rows(const Columns& v, const ColumnPlace& at, int most,
                                         const F& f) {
  const std::int64_t begin = std::int64_t{blockIdx.y} * v.slab_rows;
  const std::int64_t end = begin + v.slab_rows < v.rows ? begin + v.slab_rows : v.rows;
  const std::int64_t step = v.row_lanes * v.width;
  for (std::int64_t r = begin + at.row; r < end; r += std::int64_t{most} * v.row_lanes) {
    const std::int64_t left = (end - r + v.row_lanes - 1) / v.row_lanes;
    f(r * v.width + at.column, left < most ? static_cast<int>(left) : most, step, V);
  }
  const std::int64_t short_row = v.rest - at.column;
  if (blockIdx.y + 1 == gridDim.y && at.row == 0 && short_row > 0)
    f(v.rows * v.width + at.column, 1, step, short_row < V ? static_cast<int>(short_row) : V);
}

// use(raw of load(i, live), i, live) for n rows, with Batch loads under way at once.
template <int V, int Batch, class Load, class Use>
__device__ __forceinline__ void in_batches(std::int64_t i, int n, std::int64_t step, int live,
                                           const Load& load_one, const Use& use) {
  using Raw = decltype(load_one(i, V));
  if (live == V) {
    for (; n >= Batch; n -= Batch, i += Batch * step) {
      Raw raw[Batch];
#pragma unroll
      for (int k = 0; k < Batch; ++k) raw[k] = load_one(i + k * step, V);
#pragma unroll
      for (int k = 0; k < Batch; ++k) use(raw[k], i + k * step, V);
    }
    for (; n > 0; --n, i += step) use(load_one(i, V), i, V);
  } else {
    use(load_one(i, live), i, live);
  }
}

// y = f(...) per element. F: Column column(v, column); Raw load(i, live); store(column, raw, i,
// live).
template <int V, int Batch, class F>
__global__ void __launch_bounds__(kColumnThreads) map_columns_kernel(Columns v, F f) {
  const ColumnPlace at = column_place<V>(v);
  if (!at.active) return;
  const auto column = f.column(v, at.column);
  for_rows<V>(v, at, 1 << 30, [&](std::int64_t first, int n, std::int64_t step, int live) {
    in_batches<V, Batch>(
        first, n, step, live, [&](std::int64_t i, int m) { return f.load(i, m); },
        [&](const auto& raw, std::int64_t i, int m) { f.store(column, raw, i, m); });
  });
}

// F::kSums sums per channel. F: Column column(v, column); Chunk begin(i, live) once per kChunk
// rows; Raw load(i, live); add(column, chunk, raw, i, live, s) to float s[kSums][V]; end(column,
// chunk, rows, live, s, S) to double S[kSums][V].
template <int V, int Batch, class F>
__global__ void __launch_bounds__(kColumnThreads, 2)
    reduce_columns_kernel(Columns v, F f, double* partials) {
  constexpr int kSums = F::kSums;
  SENTEI_SHARED(double, tile, [kSums * V][kColumnThreads]);
  const ColumnPlace at = column_place<V>(v);
  double total[kSums][V] = {};
  if (at.active) {
    const auto column = f.column(v, at.column);
    for_rows<V>(v, at, kChunk, [&](std::int64_t first, int n, std::int64_t step, int live) {
      const auto chunk = f.begin(first, live);
      float s[kSums][V] = {};
      in_batches<V, Batch>(
          first, n, step, live, [&](std::int64_t i, int m) { return f.load(i, m); },
          [&](const auto& raw, std::int64_t i, int m) { f.add(column, chunk, raw, i, m, s); });
      f.end(column, chunk, n, live, s, total);
    });
  }
  const int t = static_cast<int>(threadIdx.x);
#pragma unroll
  for (int k = 0; k < kSums * V; ++k) tile[k][t] = total[k / V][k % V];
  int half = 1;
  while (2 * half < v.row_lanes) half *= 2;
  for (; half > 0; half /= 2) {
    __syncthreads();
    if (at.row < half && at.row + half < v.row_lanes) {
#pragma unroll
      for (int k = 0; k < kSums * V; ++k) tile[k][t] += tile[k][t + half * v.lanes];
    }
  }
  if (at.active && at.row == 0) {
    double* out = partials + std::int64_t{blockIdx.y} * kSums * v.width + at.column;
#pragma unroll
    for (int k = 0; k < kSums * V; ++k) out[k / V * v.width + k % V] = tile[k][t];
  }
}

// f(c, S): the second stage. A block has 8 channels; 32 threads share the slabs of each.
constexpr int kFinishChannels = 8, kFinishParts = kColumnThreads / kFinishChannels;

template <int Sums, class F>
__global__ void __launch_bounds__(kColumnThreads)
    finish_columns_kernel(Columns v, int slabs, const double* partials, F f) {
  SENTEI_SHARED(double, tile, [Sums][kColumnThreads]);
  const int t = static_cast<int>(threadIdx.x), part = t / kFinishChannels;
  const std::int64_t c = std::int64_t{blockIdx.x} * kFinishChannels + t % kFinishChannels;
  double total[Sums] = {};
  if (c < v.C) {
#pragma unroll 4
    for (int k = part; k < slabs * v.copies; k += kFinishParts) {
      const int slab = k / v.copies;
      const double* p =
          partials + std::int64_t{slab} * Sums * v.width + (k - slab * v.copies) * v.C;
#pragma unroll
      for (int s = 0; s < Sums; ++s) total[s] += p[s * v.width + c];
    }
  }
#pragma unroll
  for (int s = 0; s < Sums; ++s) tile[s][t] = total[s];
#pragma unroll
  for (int half = kFinishParts / 2; half > 0; half /= 2) {
    __syncthreads();
    if (part < half) {
#pragma unroll
      for (int s = 0; s < Sums; ++s) tile[s][t] += tile[s][t + half * kFinishChannels];
    }
  }
  if (part == 0 && c < v.C) {
#pragma unroll
    for (int s = 0; s < Sums; ++s) total[s] = tile[s][t];
    f(c, total);
  }
}

// Doubles of partials for either vector width.
inline std::int64_t partial_doubles(std::int64_t rows, std::int64_t C, int sums, int batch) {
  std::int64_t most = 0;
  for (const int V : {1, 4}) {
    const Columns v = columns_of(rows, C, V, batch, kReduceBlocks);
    const std::int64_t n = v.slabs * sums * v.width;
    most = n > most ? n : most;
  }
  return most;
}

template <int V, int Batch, class F>
void map_columns(const char* name, std::int64_t rows, std::int64_t C, const F& f) {
  const Columns v = columns_of(rows, C, V, Batch, kMapBlocks);
  launch(name, map_columns_kernel<V, Batch, F>, v.grid(), kColumnThreads, 0, v, f);
}

// Sums of `f`, then `finish(c, S)` per channel.
template <int V, int Batch, class F, class Finish>
void reduce_columns(const char* name, std::int64_t rows, std::int64_t C, const F& f,
                    double* partials, const char* finish_name, const Finish& finish) {
  const Columns v = columns_of(rows, C, V, Batch, kReduceBlocks);
  launch(name, reduce_columns_kernel<V, Batch, F>, v.grid(), kColumnThreads, 0, v, f, partials);
  launch(finish_name, finish_columns_kernel<F::kSums, Finish>,
         static_cast<unsigned>(ceil_div(C, kFinishChannels)), kColumnThreads, 0, v, v.slabs,
         partials, finish);
}

}  // namespace sentei::cuda
