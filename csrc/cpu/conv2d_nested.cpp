// Forward and input gradient of 5x5 filters, see conv2d_nested.hpp:
//   U = G g G^T, V = B^T d B, M[a b] = sum over its products and c of V U, y = A^T M A.
#include "cpu/conv2d_nested.hpp"

#include "core/parallel.hpp"
#include "cpu/conv2d_nested_tile.hpp"
#include "cpu/gemm.hpp"
#include "cpu/scratch_blocks.hpp"

namespace sentei::cpu::SENTEI_ISA {
namespace {

using std::int64_t;

// U of one vector of filters: [product][c][k], as one block of dot_tile reads it.
SENTEI_NOINLINE void pack_part(const NestedPlan& p, bool backward, const float* filter,
                               float* packed, int64_t c0, int64_t k0) {
  constexpr int64_t T = kLanes;
  const int64_t m = imin(kLanes, p.K - k0), n = imin(T, p.C - c0);
  // The block of columns that for_blocks cuts at k0.
  const int64_t wide = kMaxVectors * kLanes, block = k0 / wide * wide;
  const int64_t L = imin(wide, ceil_div(p.K - block, kLanes) * kLanes);
  float* dst = packed + block * kNestedProducts * p.C + k0 - block;
  float taps[25 * T * kLanes] __attribute__((aligned(64)));
  if (!backward)
    for (int64_t t = 0; t < 25; ++t)
      pack_transposed(filter + (k0 * 25 + t) * p.C + c0, 25 * p.C, m, n, taps + t * T * kLanes,
                      kLanes);
  for (int64_t c = 0; c < n; ++c) {
    vf g[5][5], u[5][7];
#pragma GCC unroll 5
    for (int r = 0; r < 5; ++r) {
#pragma GCC unroll 5
      for (int s = 0; s < 5; ++s)
        g[r][s] = backward ? load_n(filter + ((c0 + c) * 25 + (4 - r) * 5 + 4 - s) * p.K + k0,
                                    static_cast<int>(m))
                           : load(taps + ((r * 5 + s) * T + c) * kLanes);
      nested_filter(g[r], u[r]);
    }
#pragma GCC unroll 7
    for (int j = 0; j < 7; ++j) {
      vf column[5], v[7];
#pragma GCC unroll 5
      for (int r = 0; r < 5; ++r) column[r] = u[r][j];
      nested_filter(column, v);
#pragma GCC unroll 7
      for (int i = 0; i < 7; ++i) store(dst + (nested_place(i, j) * p.C + c0 + c) * L, v[i]);
    }
  }
}

// Outputs of a chunk of tiles, one vector of k.
SENTEI_NOINLINE void put_outputs(const NestedSumArgs& a, const Range& tiles, const float* sums,
                                 const float* bias, int64_t k) {
  const NestedPlan& p = *a.plan;
  const int lanes = static_cast<int>(imin(kLanes, p.K - k));
  const vf b = load(bias + k), low = splat(a.relu ? 0.0f : -__builtin_inff());
  const int64_t width = padded(p.K);
  NestedTile at = NestedTile::at(p, tiles.begin);
  const float* m = sums + k;
  for (int64_t t = tiles.begin; t < tiles.end; ++t, m += p.out_row, at.next(p)) {
    vf half[4][2];
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      const vf m0 = load(m + (4 * i) * width), m1 = load(m + (4 * i + 1) * width);
      const vf m2 = load(m + (4 * i + 2) * width), m3 = load(m + (4 * i + 3) * width);
      half[i][0] = m0 + m1 + m2;
      half[i][1] = m1 - m2 - m3;
    }
    float* y = a.out + ((at.n * p.P + 2 * at.row) * p.Q + 2 * at.column) * p.K + k;
    const bool down = 2 * at.row + 1 < p.P, right = 2 * at.column + 1 < p.Q;
#pragma GCC unroll 2
    for (int j = 0; j < 2; ++j) {
      if (j && !right) break;
      const vf top = half[0][j] + half[1][j] + half[2][j];
      store_n(y + j * p.K, vmax(low, b + top), lanes);
      if (!down) continue;
      const vf bottom = half[1][j] - half[2][j] - half[3][j];
      store_n(y + (p.Q + j) * p.K, vmax(low, b + bottom), lanes);
    }
  }
}

// The 16 sums of a chunk for one block of V vectors of k.
template <int V>
SENTEI_NOINLINE void multiply(const NestedPlan& p, int64_t tiles, const float* in, const float* u,
                              float* sums) {
  constexpr int P = kTileRows<V>;
  const float zero[V * kLanes] = {};
  for (int a = 0; a < kNestedPoints; ++a)
    for (int b = 0; b < kNestedPoints; ++b) {
      const Tap tap{nested_begin(a, b) * p.C, nested_begin(a, b) * p.C, nested_size(a, b) * p.C};
      float* out = sums + (a * kNestedPoints + b) * padded(p.K);
      for (int64_t t = 0; t < tiles; t += P) {
        const float* xp[P];
        float* yp[P];
        const int m = static_cast<int>(imin(P, tiles - t));
        for (int j = 0; j < m; ++j)
          xp[j] = in + (t + j) * p.in_row, yp[j] = out + (t + j) * p.out_row;
        dot_rows<V>(m, xp, &tap, 1, u, zero, yp, kLanes, -__builtin_inff());
      }
    }
}

void pack(const NestedPlan& p, bool backward, const float* filter, float* packed) {
  const int64_t c_parts = ceil_div(p.C, kLanes), k_parts = ceil_div(p.K, kLanes);
  parallel_for(c_parts * k_parts, [&](int64_t task) {
    pack_part(p, backward, filter, packed, task % c_parts * kLanes, task / c_parts * kLanes);
  });
}

void run(const NestedSumArgs& a) {
  const NestedPlan& p = *a.plan;
  float *bias = a.scratch, *scratch = bias + padded(p.K);
  for (int64_t k = 0; k < padded(p.K); ++k) bias[k] = a.bias && k < p.K ? a.bias[k] : 0.0f;
  ScratchBlocks blocks(scratch, p.strand_floats, p.strands);
  parallel_for(p.chunks, [&](int64_t task) {
    const Range tiles = even_part(p.tiles, p.chunks, task);
    const int lent = blocks.take();
    float* in = blocks.at(lent);
    float* sums = in + p.in_floats;
    nested_inputs(p, a.in, tiles, in);
    for_blocks(0, p.K, [&](int64_t k, auto v, int) {
      multiply<decltype(v)::value>(p, tiles.end - tiles.begin, in,
                                   a.packed + k * kNestedProducts * p.C, sums + k);
    });
    for (int64_t k = 0; k < p.K; k += kLanes) put_outputs(a, tiles, sums, bias, k);
    blocks.give(lent);
  });
}

}  // namespace

extern const NestedSumKernels nested_sum_kernels;
const NestedSumKernels nested_sum_kernels = {pack, run};

}  // namespace sentei::cpu::SENTEI_ISA
