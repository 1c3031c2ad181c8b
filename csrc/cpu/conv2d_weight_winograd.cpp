// Weight gradient of a 3 x 3 convolution of stride 1 by Winograd's minimal filtering: the transpose
// of F(m x m, 3 x 3) with respect to its filter. Over all tiles of m x m pixels of dy,
//   dw[k][:][:][c] = G^T [ sum_tiles (A dy_k A^T) . (B^T x_c B) ] G
// with the matrices of winograd.hpp, so the sums over tiles are (m + 2)^2 products of matrices.
// Every task transforms its own channels and filters: what it multiplies is in its own L2 cache,
// and tasks do not wait for each other. Sums of one chunk start from zero, chunks are added into
// the task's sums, slots are added in order: three levels, cut by the geometry alone.
#include "cpu/conv2d_weight_winograd.hpp"

#include "core/parallel.hpp"
#include "cpu/conv2d_weight_slots.hpp"
#include "cpu/gemm.hpp"
#include "cpu/scratch_blocks.hpp"
#include "cpu/winograd.hpp"

namespace sentei::cpu::SENTEI_ISA {
namespace {

using std::int64_t;

// A y: m values to m + 2.
template <int M>
SENTEI_INLINE void spread(const vf* y, int si, vf* o, int so) {
  const vf y0 = y[0], y1 = y[si];
  if constexpr (M == 2) {
    o[0] = y0;
    o[so] = y0 + y1;
    o[2 * so] = y0 - y1;
    o[3 * so] = -y1;
  } else {
    const vf y2 = y[2 * si], y3 = y[3 * si];
    const vf a = y0 + y2, b = y1 + y3;
    const vf c = fma(splat(4.0f), y2, y0), d = fma(splat(4.0f), y3, y1);
    o[0] = y0;
    o[so] = a + b;
    o[2 * so] = a - b;
    o[3 * so] = fma(splat(2.0f), d, c);
    o[4 * so] = fma(splat(-2.0f), d, c);
    o[5 * so] = y3;
  }
}

// G^T u: m + 2 values to 3.
template <int M>
SENTEI_INLINE void gather(const vf* u, int si, vf* o, int so) {
  if constexpr (M == 2) {
    const vf p = splat(0.5f) * (u[si] + u[2 * si]);
    o[0] = u[0] + p;
    o[so] = splat(0.5f) * (u[si] - u[2 * si]);
    o[2 * so] = p + u[3 * si];
  } else {
    const vf p = splat(-1.0f / 6) * (u[si] + u[2 * si]), r = u[3 * si] + u[4 * si];
    const vf q = splat(-1.0f / 6) * (u[si] - u[2 * si]), t = u[3 * si] - u[4 * si];
    o[0] = fma(splat(0.25f), u[0], fma(splat(1.0f / 24), r, p));
    o[so] = fma(splat(1.0f / 12), t, q);
    o[2 * so] = fma(splat(1.0f / 6), r, p) + u[5 * si];
  }
}

template <int M, class At>
SENTEI_INLINE void spread_vector(const At& at, int lanes, float* d, int64_t plane) {
  constexpr int E = M + 2;
  vf t[E * M];
#pragma GCC unroll 4
  for (int j = 0; j < M; ++j) {
    vf y[M];
#pragma GCC unroll 4
    for (int i = 0; i < M; ++i) y[i] = load_n(at(i, j), lanes);
    spread<M>(y, 1, t + j, M);
  }
#pragma GCC unroll 6
  for (int i = 0; i < E; ++i) {
    vf o[E];
    spread<M>(t + i * M, 1, o, 1);
#pragma GCC unroll 6
    for (int j = 0; j < E; ++j) store(d + (i * E + j) * plane, o[j]);
  }
}

alignas(64) constexpr float kZeros[kPanel] = {};

// Channels [0, n) of the D x D pixels at (h0, w0) of an image (H, W, C): f(at, lanes, c) for every
// vector of them, at(i, j) a pointer; pixels outside are zero.
template <int D, class F>
SENTEI_INLINE void for_tile(const float* image, int64_t H, int64_t W, int64_t C, int64_t h0,
                            int64_t w0, int64_t n, const F& f) {
  const auto vectors = [&](const auto& at) {
    int64_t c = 0;
    for (; c + kLanes <= n; c += kLanes) f([&](int i, int j) { return at(i, j) + c; }, kLanes, c);
    if (c < n) f([&](int i, int j) { return at(i, j) + c; }, static_cast<int>(n - c), c);
  };
  if (h0 >= 0 && w0 >= 0 && h0 + D <= H && w0 + D <= W) {
    const float* first = image + (h0 * W + w0) * C;
    const int64_t row = W * C;
    return vectors([&](int i, int j) { return first + i * row + j * C; });
  }
  const float* table[D * D];
  for (int i = 0; i < D; ++i)
    for (int j = 0; j < D; ++j) {
      const int64_t h = h0 + i, w = w0 + j;
      const bool inside = h >= 0 && h < H && w >= 0 && w < W;
      table[i * D + j] = inside ? image + (h * W + w) * C : kZeros;
    }
  vectors([&](int i, int j) { return table[i * D + j]; });
}

// One task: the channels [c0, c0 + nc) and filters [k0, k0 + nk), nk a multiple of kPad except in
// the last block.
struct Block {
  int64_t c0, nc, k0, nk;
  float *x, *dy, *sum;  // transformed: [place][tile][channel], [place][tile][filter]; [place][c][k]
};

template <int M>
SENTEI_NOINLINE void transform(const Conv2dWeightWinogradArgs& a, const Block& b,
                               const Range& tiles) {
  const Conv2dGeometry& g = *a.g;
  const int64_t ldx = padded(b.nc), ldy = padded(b.nk), per_image = a.split.rows * a.split.columns;
  for (int64_t t = tiles.begin; t < tiles.end; ++t) {
    const int64_t n = t / per_image, row = t % per_image / a.split.columns;
    const int64_t p = M * row, q = M * (t % a.split.columns);
    float* x = b.x + (t - tiles.begin) * ldx;
    float* dy = b.dy + (t - tiles.begin) * ldy;
    for_tile<M + 2>(a.x + n * g.H * g.W * g.C + b.c0, g.H, g.W, g.C, p - g.padding_h,
                    q - g.padding_w, b.nc, [&](const auto& at, int lanes, int64_t c) {
                      winograd_input_vector<M>(at, lanes, x + c, a.split.x_plane);
                    });
    for_tile<M>(a.dy + n * g.P * g.Q * g.K + b.k0, g.P, g.Q, g.K, p, q, b.nk,
                [&](const auto& at, int lanes, int64_t k) {
                  spread_vector<M>(at, lanes, dy + k, a.split.dy_plane);
                });
  }
}

SENTEI_NOINLINE void multiply(const Conv2dWeightWinogradArgs& a, const Block& b, int64_t tiles,
                              bool add) {
  const int64_t ldx = padded(b.nc), ldy = padded(b.nk), places = (a.split.m + 2) * (a.split.m + 2);
  for (int64_t e = 0; e < places; ++e) {
    const float *x = b.x + e * a.split.x_plane, *dy = b.dy + e * a.split.dy_plane;
    float* sum = b.sum + e * b.nc * ldy;
    for_blocks(0, ldy, [&](int64_t k, auto v, int) {
      outer_rows<decltype(v)::value>(b.nc, x, dy + k, ByStride{ldx, ldy}, tiles, sum + k, ldy,
                                     kLanes, add);
    });
  }
}

// out[(3 r + s) C + c][k] = (G^T sum G)[r][s], or zero where there were no tiles.
template <int M>
SENTEI_NOINLINE void finish(const Conv2dGeometry& g, const Block& b, bool any, float* out) {
  constexpr int E = M + 2;
  const int64_t ldy = padded(b.nk), ldo = padded(g.K), plane = b.nc * ldy;
  for (int64_t c = 0; c < b.nc; ++c)
    for (int64_t k = 0; k < ldy; k += kLanes) {
      vf t[3 * E];
#pragma GCC unroll 6
      for (int j = 0; j < E; ++j) {
        vf u[E];
#pragma GCC unroll 6
        for (int i = 0; i < E; ++i)
          u[i] = any ? load(b.sum + (i * E + j) * plane + c * ldy + k) : vf{};
        gather<M>(u, 1, t + j, E);
      }
#pragma GCC unroll 3
      for (int r = 0; r < 3; ++r) {
        vf o[3];
        gather<M>(t + r * E, 1, o, 1);
#pragma GCC unroll 3
        for (int s = 0; s < 3; ++s)
          store(out + ((3 * r + s) * g.C + b.c0 + c) * ldo + b.k0 + k, o[s]);
      }
    }
}

template <int M>
SENTEI_INLINE void run_task(const Conv2dWeightWinogradArgs& a, int64_t task, float* scratch) {
  const Conv2dGeometry& g = *a.g;
  const Conv2dWeightWinogradSplit& split = a.split;
  const int64_t slot = task / (split.c_blocks * split.k_blocks);
  const Range c = even_part(g.C, split.c_blocks, task / split.k_blocks % split.c_blocks);
  const Range k = even_part(padded(g.K) / kPad, split.k_blocks, task % split.k_blocks);
  Block b{c.begin, c.end - c.begin, k.begin * kPad, imin(g.K, k.end * kPad) - k.begin * kPad,
          scratch, nullptr,         nullptr};
  constexpr int64_t places = (M + 2) * (M + 2);
  b.dy = b.x + places * split.x_plane;
  b.sum = b.dy + places * split.dy_plane;
  const Range tiles = even_part(g.N * split.rows * split.columns, split.slots, slot);
  const int64_t count = tiles.end - tiles.begin, chunks = ceil_div(count, split.chunk);
  for (int64_t i = 0; i < chunks; ++i) {
    Range part = even_part(count, chunks, i);
    part.begin += tiles.begin, part.end += tiles.begin;
    transform<M>(a, b, part);
    multiply(a, b, part.end - part.begin, i > 0);
  }
  finish<M>(g, b, chunks > 0, a.workspace + slot * split.slot_floats);
}

void run(const Conv2dWeightWinogradArgs& a) {
  ScratchBlocks scratch(a.workspace + a.split.slots * a.split.slot_floats, a.split.scratch_floats,
                        a.split.scratch_blocks());
  parallel_for(a.split.tasks(), [&](int64_t task) {
    const int block = scratch.take();
    a.split.m == 4 ? run_task<4>(a, task, scratch.at(block))
                   : run_task<2>(a, task, scratch.at(block));
    scratch.give(block);
  });
  add_slots(*a.g, a.workspace, a.split.slots, a.split.slot_floats, a.dw);
}

}  // namespace

extern const Conv2dWeightWinogradKernels conv2d_weight_winograd_kernels;
const Conv2dWeightWinogradKernels conv2d_weight_winograd_kernels = {run};

}  // namespace sentei::cpu::SENTEI_ISA
