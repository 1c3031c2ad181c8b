// Average pooling; the global average is the window that covers the image. Sums are divided once by
// the area. Forward: a thread per output vector adds 32 taps at a time in row-major order, as the
// CPU does; where windows are large and outputs too few to fill the GPU, a block per pixel and 32
// vectors of channels instead: its threads share the taps (each adds every tap_lanes-th, 32 at a
// time), then a tree in shared memory. Backward: a thread per dx vector adds the windows that
// cover it. 4 bytes per input element and 4 per output.
#include "cuda/device/pool2d.cuh"
#include "cuda/table.cuh"
#include "kernels/avg_pool2d.hpp"

namespace sentei::cuda {
namespace {

using kernels::Pool2d;
using std::int64_t;

constexpr int kPart = 32;                        // taps added at a time
constexpr int64_t kShareArea = 16;               // taps that pay for a block
constexpr int64_t kMostTaps = int64_t{1} << 30;  // of a window, as int
constexpr int64_t kFill = int64_t{132} * 512;    // vectors that fill the GPU, a thread each

template <int V>
__device__ __forceinline__ void add(Vec<V>& sum, const Vec<V>& x) {
#pragma unroll
  for (int e = 0; e < V; ++e) sum.v[e] += x.v[e];
}

template <int V>
__device__ __forceinline__ void store_mean(float* p, Vec<V> sum, float area) {
#pragma unroll
  for (int e = 0; e < V; ++e) sum.v[e] /= area;
  store<V>(p, sum);
}

// Sum over taps first, first + step, ... of the window at `corner`.
template <int V>
__device__ __forceinline__ Vec<V> window_sum(const Pool& g, const float* corner, int first,
                                             int step) {
  Vec<V> total{};
  const int taps = g.kh * g.kw;
  for (int t = first; t < taps;) {
    const int left = (taps - t + step - 1) / step, n = left < kPart ? left : kPart;
    Vec<V> part{};
#pragma unroll 4
    for (int k = 0; k < n; ++k, t += step) {
      std::uint32_t s = static_cast<std::uint32_t>(t);
      const std::uint32_t r = g.by_kw.split(s);
      add(part, load<V>(corner + (int64_t{r} * g.W + s) * g.C));
    }
    add(total, part);
  }
  return total;
}

template <int V>
__global__ void __launch_bounds__(kPoolThreads)
    avg_pool2d_forward_kernel(std::uint32_t n, Pool g, Pixels out, float area, const float* x,
                              float* y) {
  const std::uint32_t i = blockIdx.x * kPoolThreads + threadIdx.x;
  if (i >= n) return;
  const Pixel o = out.at(i);
  const float* corner = x + g.in(o.n, o.h * g.sh, o.w * g.sw) + o.c;
  store_mean(y + int64_t{i} * V, window_sum<V>(g, corner, 0, 1), area);
}

// blockIdx.x: the pixel of y, blockIdx.y: its lanes' vectors.
template <int V>
__global__ void __launch_bounds__(kPoolThreads)
    avg_pool2d_forward_shared_kernel(Pool g, Pixels out, int lanes, float area, const float* x,
                                     float* y) {
  SENTEI_SHARED(float, tile, [V][kPoolThreads]);
  const int t = static_cast<int>(threadIdx.x), part = t / lanes, tap_lanes = kPoolThreads / lanes;
  const std::uint32_t vector = blockIdx.y * lanes + (t - part * lanes);
  const bool active = part < tap_lanes && vector < out.vectors.d;
  std::uint32_t w = blockIdx.x;
  std::uint32_t h = out.width.split(w);
  const std::uint32_t n = out.height.split(h);
  Vec<V> sum{};
  if (active) {
    const int64_t corner = g.in(n, static_cast<int>(h) * g.sh, static_cast<int>(w) * g.sw);
    sum = window_sum<V>(g, x + corner + int64_t{vector} * V, part, tap_lanes);
  }
#pragma unroll
  for (int e = 0; e < V; ++e) tile[e][t] = sum.v[e];
  int half = 1;
  while (2 * half < tap_lanes) half *= 2;
  for (; half > 0; half /= 2) {
    __syncthreads();
    if (part < half && part + half < tap_lanes) {
#pragma unroll
      for (int e = 0; e < V; ++e) tile[e][t] += tile[e][t + half * lanes];
    }
  }
  if (active && part == 0) {
#pragma unroll
    for (int e = 0; e < V; ++e) sum.v[e] = tile[e][t];
    store_mean(y + int64_t{blockIdx.x} * g.C + int64_t{vector} * V, sum, area);
  }
}

template <int V>
__global__ void __launch_bounds__(kPoolThreads)
    avg_pool2d_backward_kernel(std::uint32_t n, Pool g, Pixels in, float area, const float* dy,
                               float* dx) {
  const std::uint32_t i = blockIdx.x * kPoolThreads + threadIdx.x;
  if (i >= n) return;
  const Pixel x = in.at(i);
  const Cover rows = cover(x.h, g.by_sh, 0, g.kh, g.P), columns = cover(x.w, g.by_sw, 0, g.kw, g.Q);
  Vec<V> sum{};
  for (int p = rows.begin; p < rows.end; ++p)
    for (int q = columns.begin; q < columns.end; ++q)
      add(sum, load<V>(dy + g.out(x.n, p, q) + x.c));
  store_mean(dx + int64_t{i} * V, sum, area);
}

template <int V>
void forward_as(const Pool2d& g, const float* x, float* y) {
  const Pool pool(g);
  const Pixels out(g.P, g.Q, g.C, V);
  const int64_t vectors = g.C / V, area = g.kh * g.kw;
  const float divisor = static_cast<float>(area);
  SENTEI_CHECK(ValueError, area <= kMostTaps, "avg_pool2d_forward: kernel must cover at most ",
               kMostTaps, " elements on cuda, got ", area);
  if (area >= kShareArea && g.N * g.P * g.Q * vectors < kFill) {
    const int64_t tiles = vectors <= 64 ? 1 : ceil_div(vectors, 32);
    launch("avg_pool2d_forward_shared_kernel", avg_pool2d_forward_shared_kernel<V>,
           dim3(static_cast<unsigned>(g.N * g.P * g.Q), static_cast<unsigned>(tiles)), kPoolThreads,
           0, pool, out, static_cast<int>(ceil_div(vectors, tiles)), divisor, x, y);
    return;
  }
  for_images("avg_pool2d_forward", g.N, g.P * g.Q * vectors, [&](int64_t first, std::uint32_t n) {
    launch("avg_pool2d_forward_kernel", avg_pool2d_forward_kernel<V>,
           blocks_for(n, kPoolThreads, n), kPoolThreads, 0, n, pool, out, divisor,
           x + first * g.H * g.W * g.C, y + first * g.P * g.Q * g.C);
  });
}

void forward(const Pool2d& g, const float* x, float* y) {
  const bool wide = g.C % 4 == 0 && aligned_to_vectors(x, y);
  (wide ? forward_as<4> : forward_as<1>)(g, x, y);
}

template <int V>
void backward_as(const Pool2d& g, const float* dy, float* dx) {
  const Pool pool(g);
  const Pixels in(g.H, g.W, g.C, V);
  const float divisor = static_cast<float>(g.kh * g.kw);
  for_images("avg_pool2d_backward", g.N, g.H * g.W * (g.C / V),
             [&](int64_t first, std::uint32_t n) {
               launch("avg_pool2d_backward_kernel", avg_pool2d_backward_kernel<V>,
                      blocks_for(n, kPoolThreads, n), kPoolThreads, 0, n, pool, in, divisor,
                      dy + first * g.P * g.Q * g.C, dx + first * g.H * g.W * g.C);
             });
}

void backward(const Pool2d& g, const float* dy, float* dx) {
  const bool wide = g.C % 4 == 0 && aligned_to_vectors(dy, dx);
  (wide ? backward_as<4> : backward_as<1>)(g, dy, dx);
}

}  // namespace
}  // namespace sentei::cuda
SENTEI_CUDA_TABLE(AvgPool2dKernels, avg_pool2d_kernels, forward, backward)
