// Max pooling: a thread per vector of channels. index = r * kw + s of the winner: the first of
// equals, the first NaN if there is one; taps in the padding are skipped, so they never win. 4 (x)
// + 1.25 (y, index) bytes per input element at 2x2/2. Backward gathers: every dx element is written
// once, its windows added in row-major order from 0; no atomics, no zero fill. For 2x2/2 a thread
// reads its window's dy and index once and writes all four places; where windows do not overlap an
// element looks at one window, else at all that cover it (through the cache).
#include "cuda/device/max_pool2d.cuh"
#include "cuda/table.cuh"
#include "kernels/max_pool2d.hpp"

namespace sentei::cuda {
namespace {

using kernels::Pool2d;
using std::int64_t;

// K x K windows, or any when K is 0.
template <int V, int K, class Source>
__global__ void __launch_bounds__(kPoolThreads)
    max_pool2d_forward_kernel(std::uint32_t n, Pool g, Pixels out, Source source, float* y,
                              std::uint8_t* index) {
  const std::uint32_t i = blockIdx.x * kPoolThreads + threadIdx.x;
  if (i >= n) return;
  const Pixel o = out.at(i);
  const int kh = K ? K : g.kh, kw = K ? K : g.kw;
  const int h = o.h * g.sh - g.ph, w = o.w * g.sw - g.pw;
  const int64_t corner = g.in(o.n, h, w) + o.c;
  const auto column = source.column(o.c);
  Best<V> best;
  best.value = all<V>(kLowest);
  const int first = (h < 0 ? -h : 0) * kw + (w < 0 ? -w : 0);
#pragma unroll
  for (int e = 0; e < V; ++e) best.index.v[e] = static_cast<std::uint8_t>(first);
  const auto tap = [&](int r, int s) {
    const bool inside = h + r >= 0 && h + r < g.H && w + s >= 0 && w + s < g.W;
    return inside ? source.load(column, corner + (int64_t{r} * g.W + s) * g.C) : all<V>(kLowest);
  };
  if constexpr (K != 0) {
#pragma unroll
    for (int r = 0; r < K; ++r) {
      Vec<V> v[K];
#pragma unroll
      for (int s = 0; s < K; ++s) v[s] = tap(r, s);
#pragma unroll
      for (int s = 0; s < K; ++s) best.challenge(v[s], r * K + s);
    }
  } else {
    const int r_end = kh < g.H - h ? kh : g.H - h, s_end = kw < g.W - w ? kw : g.W - w;
    for (int r = h < 0 ? -h : 0; r < r_end; ++r)
#pragma unroll 4
      for (int s = w < 0 ? -w : 0; s < s_end; ++s) best.challenge(tap(r, s), r * kw + s);
  }
  store<V>(y + int64_t{i} * V, best.value);
  store_bytes<V>(index + int64_t{i} * V, best.index);
}

template <int V>
__device__ __forceinline__ void add_if(Vec<V>& sum, const Vec<V>& dy, const Bytes<V>& index,
                                       int tap) {
#pragma unroll
  for (int e = 0; e < V; ++e) sum.v[e] += index.v[e] == tap ? dy.v[e] : 0.0f;
}

// A thread per cell of 2x2 elements, those at an odd edge included: there they are 0.
template <int V>
__global__ void __launch_bounds__(kPoolThreads)
    max_pool2d_backward_2x2_kernel(std::uint32_t n, Pool g, Pixels cells, const float* dy,
                                   const std::uint8_t* index, float* dx) {
  const std::uint32_t i = blockIdx.x * kPoolThreads + threadIdx.x;
  if (i >= n) return;
  const Pixel o = cells.at(i);
  const int h = 2 * o.h, w = 2 * o.w;
  Vec<V> d{};
  Bytes<V> k{};
  if (o.h < g.P && o.w < g.Q) {
    const int64_t from = g.out(o.n, o.h, o.w) + o.c;
    d = load<V>(dy + from);
    k = load_bytes<V>(index + from);
  }
  const int64_t corner = g.in(o.n, h, w) + o.c;
#pragma unroll
  for (int tap = 0; tap < 4; ++tap) {
    const int r = tap / 2, s = tap % 2;
    Vec<V> mine{};
    add_if(mine, d, k, tap);
    if (h + r < g.H && w + s < g.W) store<V>(dx + corner + (int64_t{r} * g.W + s) * g.C, mine);
  }
}

template <int V, bool Overlap>
__global__ void __launch_bounds__(kPoolThreads)
    max_pool2d_backward_kernel(std::uint32_t n, Pool g, Pixels in, const float* dy,
                               const std::uint8_t* index, float* dx) {
  const std::uint32_t i = blockIdx.x * kPoolThreads + threadIdx.x;
  if (i >= n) return;
  const Pixel x = in.at(i);
  Vec<V> sum{};
  const auto visit = [&](int p, int q) {
    const int64_t from = g.out(x.n, p, q) + x.c;
    const int tap = (x.h + g.ph - p * g.sh) * g.kw + x.w + g.pw - q * g.sw;
    add_if(sum, load<V>(dy + from), load_bytes<V>(index + from), tap);
  };
  if constexpr (Overlap) {
    const Cover rows = cover(x.h, g.by_sh, g.ph, g.kh, g.P);
    const Cover columns = cover(x.w, g.by_sw, g.pw, g.kw, g.Q);
    for (int p = rows.begin; p < rows.end; ++p)
#pragma unroll 2
      for (int q = columns.begin; q < columns.end; ++q) visit(p, q);
  } else {
    const int p = static_cast<int>(g.by_sh.quotient(x.h + g.ph));
    const int q = static_cast<int>(g.by_sw.quotient(x.w + g.pw));
    if (p < g.P && q < g.Q && x.h + g.ph - p * g.sh < g.kh && x.w + g.pw - q * g.sw < g.kw)
      visit(p, q);
  }
  store<V>(dx + int64_t{i} * V, sum);
}

bool two_by_two(const Pool2d& g) {
  return g.kh == 2 && g.kw == 2 && g.sh == 2 && g.sw == 2 && g.ph == 0 && g.pw == 0;
}

template <int V>
void forward_as(const Pool2d& g, const float* x, float* y, std::uint8_t* index) {
  using Source = PlainSource<V>;
  const Pool pool(g);
  const Pixels out(g.P, g.Q, g.C, V);
  const auto kernel = two_by_two(g)            ? max_pool2d_forward_2x2_kernel<V, Source>
                      : g.kh == 3 && g.kw == 3 ? max_pool2d_forward_kernel<V, 3, Source>
                                               : max_pool2d_forward_kernel<V, 0, Source>;
  for_images("max_pool2d_forward", g.N, g.P * g.Q * (g.C / V), [&](int64_t first, std::uint32_t n) {
    const int64_t to = first * g.P * g.Q * g.C;
    launch("max_pool2d_forward_kernel", kernel, blocks_for(n, kPoolThreads, n), kPoolThreads, 0, n,
           pool, out, Source{x + first * g.H * g.W * g.C}, y + to, index + to);
  });
}

void forward(const Pool2d& g, const float* x, float* y, std::uint8_t* index) {
  const bool wide = g.C % 4 == 0 && aligned_to_vectors(x, y) && aligned_to(4, index);
  (wide ? forward_as<4> : forward_as<1>)(g, x, y, index);
}

template <int V>
void backward_as(const Pool2d& g, const float* dy, const std::uint8_t* index, float* dx) {
  const Pool pool(g);
  const bool cells = two_by_two(g), overlap = g.kh > g.sh || g.kw > g.sw;
  const int64_t h = cells ? ceil_div(g.H, 2) : g.H, w = cells ? ceil_div(g.W, 2) : g.W;
  const Pixels grid(h, w, g.C, V);
  const auto kernel = cells     ? max_pool2d_backward_2x2_kernel<V>
                      : overlap ? max_pool2d_backward_kernel<V, true>
                                : max_pool2d_backward_kernel<V, false>;
  for_images("max_pool2d_backward", g.N, h * w * (g.C / V), [&](int64_t first, std::uint32_t n) {
    const int64_t from = first * g.P * g.Q * g.C;
    launch("max_pool2d_backward_kernel", kernel, blocks_for(n, kPoolThreads, n), kPoolThreads, 0, n,
           pool, grid, dy + from, index + from, dx + first * g.H * g.W * g.C);
  });
}

void backward(const Pool2d& g, const float* dy, const std::uint8_t* index, float* dx) {
  const bool wide = g.C % 4 == 0 && aligned_to_vectors(dy, dx) && aligned_to(4, index);
  (wide ? backward_as<4> : backward_as<1>)(g, dy, index, dx);
}

}  // namespace
}  // namespace sentei::cuda
SENTEI_CUDA_TABLE(MaxPool2dKernels, max_pool2d_kernels, forward, backward)
