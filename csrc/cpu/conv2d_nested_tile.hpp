// The transforms of conv2d_nested.hpp in vectors of channels.
#pragma once
#include "core/parallel.hpp"
#include "cpu/conv2d_nested.hpp"
#include "cpu/simd.hpp"

namespace sentei::cpu::SENTEI_ISA {
namespace {

// Position of a tile in the batch.
struct NestedTile {
  std::int64_t n, row, column;
  static NestedTile at(const NestedPlan& p, std::int64_t tile) {
    return {tile / (p.rows * p.columns), tile / p.columns % p.rows, tile % p.columns};
  }
  void next(const NestedPlan& p) {
    if (++column < p.columns) return;
    column = 0;
    if (++row == p.rows) row = 0, ++n;
  }
};

// G: taps 0 1 2 at 0, 1, -1, infinity, taps 3 4 at 0, 1, infinity.
SENTEI_INLINE void nested_filter(const vf (&g)[5], vf (&u)[7]) {
  const vf half = splat(0.5f), even = half * (g[0] + g[2]), odd = half * g[1];
  u[0] = g[0], u[1] = g[3];
  u[2] = even + odd, u[3] = g[3] + g[4];
  u[4] = even - odd;
  u[5] = g[2], u[6] = g[4];
}

// B^T.
SENTEI_INLINE void nested_input(const vf (&d)[6], vf (&v)[7]) {
  v[0] = d[0] - d[2], v[1] = d[3] - d[4];
  v[2] = d[1] + d[2], v[3] = d[4];
  v[4] = d[2] - d[1];
  v[5] = d[1] - d[3], v[6] = d[4] - d[5];
}

// V of one tile and one vector of channels: d[h * row + w * column] of the 6 x 6 inputs.
SENTEI_INLINE void nested_input_tile(const float* d, std::int64_t row, std::int64_t column,
                                     float* out, std::int64_t C, int in_lanes, int out_lanes) {
  vf v[6][7];
#pragma GCC unroll 6
  for (int j = 0; j < 6; ++j) {
    vf t[6];
#pragma GCC unroll 6
    for (int i = 0; i < 6; ++i) t[i] = load_n(d + i * row + j * column, in_lanes);
    nested_input(t, v[j]);
  }
#pragma GCC unroll 7
  for (int i = 0; i < 7; ++i) {
    vf t[6], u[7];
#pragma GCC unroll 6
    for (int j = 0; j < 6; ++j) t[j] = v[j][i];
    nested_input(t, u);
#pragma GCC unroll 7
    for (int j = 0; j < 7; ++j) store_n(out + nested_place(i, j) * C, u[j], out_lanes);
  }
}

// V of the tiles, [tile][product][c].
SENTEI_NOINLINE void nested_inputs(const NestedPlan& p, const float* x, const Range& tiles,
                                   float* out) {
  NestedTile at = NestedTile::at(p, tiles.begin);
  for (std::int64_t t = tiles.begin; t < tiles.end; ++t, out += p.in_row, at.next(p)) {
    const std::int64_t h0 = 2 * at.row - p.padding_h, w0 = 2 * at.column - p.padding_w;
    const bool inside = h0 >= 0 && w0 >= 0 && h0 + 6 <= p.H && w0 + 6 <= p.W;
    const float* d = x + ((at.n * p.H + h0) * p.W + w0) * p.C;  // may lie before the tensor
    for (std::int64_t c = 0; c < p.C; c += kLanes) {
      const int lanes = static_cast<int>(imin(kLanes, p.C - c));
      if (inside && lanes == kLanes) {
        nested_input_tile(d + c, p.W * p.C, p.C, out + c, p.C, kLanes, kLanes);
        continue;
      }
      float edge[6][6][kLanes] __attribute__((aligned(64)));
      for (int i = 0; i < 6; ++i)
        for (int j = 0; j < 6; ++j) {
          const bool in = h0 + i >= 0 && h0 + i < p.H && w0 + j >= 0 && w0 + j < p.W;
          store(edge[i][j], in ? load_n(d + (i * p.W + j) * p.C + c, lanes) : vf{});
        }
      if (lanes == kLanes) {
        nested_input_tile(edge[0][0], 6 * kLanes, kLanes, out + c, p.C, kLanes, kLanes);
      } else {
        nested_input_tile(edge[0][0], 6 * kLanes, kLanes, out + c, p.C, kLanes, lanes);
      }
    }
  }
}

}  // namespace
}  // namespace sentei::cpu::SENTEI_ISA
