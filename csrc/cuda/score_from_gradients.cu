// Batch sums of x.g from parameters and their gradients: per row v = sum w dw + b db, in double
// (the product of two floats is exact there); stats[0] += v, stats[1] += v^2. One launch for up to
// 64 layers: pointers and sizes travel as a kernel parameter, a block finds its layer there by
// bisection. A row belongs to 1 thread (short rows: a scale and its shift), a warp, or a block of
// 256 (long filters), by its length alone. 8 bytes per parameter, read once, 16 at a time where
// rows allow. Order: a thread adds its elements in four chains, lanes and then warps are added in
// one fixed tree.
#include "cuda/device/group_sum.cuh"
#include "cuda/launch.cuh"
#include "cuda/table.cuh"
#include "kernels/score_from_gradients.hpp"

namespace sentei::cuda {
namespace {

using kernels::ScoreRows;

constexpr int kThreads = 256, kMost = 64;
constexpr std::int64_t kShort = 32, kLong = 2048;  // from here on a warp, a block per row

// In constant memory while the kernel runs; at most 4 KB of parameters are allowed.
struct Table {
  ScoreRows layers[kMost];
  std::int64_t column[kMost];      // of the first row, in stats
  std::uint32_t first[kMost + 1];  // block with which each begins
  int count;
};
static_assert(sizeof(Table) <= 4000);

__host__ __device__ __forceinline__ int threads_of(std::int64_t length) {
  return length < kShort ? 1 : length < kLong ? 32 : kThreads;
}

// Elements lane, lane + lanes, ... of a row, four at a time where it is aligned.
__device__ __forceinline__ double dot(std::int64_t n, const float* w, const float* dw, int lane,
                                      int lanes) {
  const auto bits = reinterpret_cast<std::uintptr_t>(w) | reinterpret_cast<std::uintptr_t>(dw);
  const std::int64_t vectors = (bits & 15) == 0 ? n / 4 : 0;
  double sums[4] = {};
#pragma unroll 4
  for (std::int64_t i = lane; i < vectors; i += lanes) {
    const float4 a = reinterpret_cast<const float4*>(w)[i];
    const float4 b = reinterpret_cast<const float4*>(dw)[i];
    sums[0] = fma(static_cast<double>(a.x), static_cast<double>(b.x), sums[0]);
    sums[1] = fma(static_cast<double>(a.y), static_cast<double>(b.y), sums[1]);
    sums[2] = fma(static_cast<double>(a.z), static_cast<double>(b.z), sums[2]);
    sums[3] = fma(static_cast<double>(a.w), static_cast<double>(b.w), sums[3]);
  }
#pragma unroll 4
  for (std::int64_t i = 4 * vectors + lane; i < n; i += lanes)
    sums[0] = fma(static_cast<double>(w[i]), static_cast<double>(dw[i]), sums[0]);
  return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

__global__ void __launch_bounds__(kThreads)
    score_from_gradients_kernel(const __grid_constant__ Table table, std::int64_t width,
                                double* stats) {
  SENTEI_SHARED(double, slots, [kThreads / 32]);
  int low = 0, high = table.count;  // the layer whose blocks hold this one
  while (high - low > 1) {
    const int middle = (low + high) / 2;
    if (table.first[middle] <= blockIdx.x)
      low = middle;
    else
      high = middle;
  }
  const ScoreRows& s = table.layers[low];
  const int lanes = threads_of(s.length);
  const int thread = static_cast<int>(threadIdx.x), lane = thread % lanes;
  const std::int64_t row =
      std::int64_t{blockIdx.x - table.first[low]} * (kThreads / lanes) + thread / lanes;
  const bool here = row < s.rows;
  double v = 0;
  if (here) v = dot(s.length, s.w + row * s.length, s.dw + row * s.length, lane, lanes);
  if (lanes == 32) v = lanes_sum<32>(v);  // all threads of a block take one way
  if (lanes == kThreads) v = block_sum<kThreads>(v, slots);
  if (here && lane == 0) {
    if (s.b) v = fma(static_cast<double>(s.b[row]), static_cast<double>(s.db[row]), v);
    double* const out = stats + table.column[low] + row;
    out[0] += v;
    out[width] = fma(v, v, out[width]);
  }
}

void accumulate(std::int64_t count, const ScoreRows* layers, std::int64_t width, double* stats) {
  Table table{};
  std::int64_t blocks = 0, column = 0;
  const auto flush = [&] {
    if (table.count)
      launch("score_from_gradients_kernel", score_from_gradients_kernel,
             static_cast<unsigned>(blocks), kThreads, 0, table, width, stats);
    table.count = 0;
    blocks = 0;
  };
  for (std::int64_t i = 0; i < count; ++i) {
    const ScoreRows& s = layers[i];
    if (s.rows == 0) continue;
    const std::int64_t more = ceil_div(s.rows, kThreads / threads_of(s.length));
    if (table.count == kMost || blocks + more >= (std::int64_t{1} << 31)) flush();
    table.layers[table.count] = s;
    table.column[table.count] = column;
    table.first[table.count++] = static_cast<std::uint32_t>(blocks);
    blocks += more;
    column += s.rows;
  }
  flush();
}

}  // namespace
}  // namespace sentei::cuda
SENTEI_CUDA_TABLE(ScoreFromGradientsKernels, score_from_gradients_kernels, accumulate)
