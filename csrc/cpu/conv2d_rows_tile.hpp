// Sums over taps where one vector holds all filters: then a tile of dot_tile loads as often as it
// multiplies. Here a tile is P neighbours of one row and a float of x, loaded once, serves the
// three taps of its row of the filter. Rows of `in` are copied with their padding.
#pragma once
#include "cpu/simd.hpp"

namespace sentei::cpu::SENTEI_ISA {
namespace {

constexpr int kRowTile = 16;  // pixels
constexpr int kRowTaps = 3;

struct RowSum {
  std::int64_t C, x_row;  // channels; floats of a copied row
  const float *w, *init;  // [r][s][C][vector]; what the sum starts from
  std::int64_t y_pixel;
  int last;  // lanes
  float low;
};

// y of P pixels, from the rows [r0, r1) of the filter; x: first pixel that row 0 of the filter
// would meet.
template <int P>
SENTEI_NOINLINE void row_tile(const RowSum& sum, const float* x, std::int64_t r0, std::int64_t r1,
                              float* y) {
  constexpr int N = P + kRowTaps - 1, B = (N + 4) / 5;
  vf acc[P];
#pragma GCC unroll 16
  for (int p = 0; p < P; ++p) acc[p] = load(sum.init);
  for (std::int64_t r = r0; r < r1; ++r) {
    // Five pixels from one pointer by scaled indices: there are not enough registers for N
    // pointers.
    std::int64_t one = sum.C * 4, three = 3 * one, tap = sum.C * kLanes * 4;
    const char* w = reinterpret_cast<const char*>(sum.w) + r * kRowTaps * tap;
    const char* from[B];
#pragma GCC unroll 4
    for (int b = 0; b < B; ++b)
      from[b] = reinterpret_cast<const char*>(x + r * sum.x_row) + 5 * b * one;
    for (std::int64_t c = sum.C; c; --c) {
      asm("" : "+r"(one), "+r"(three), "+r"(tap));  // else they become N more pointers
      vf v[kRowTaps];
#pragma GCC unroll 3
      for (int s = 0; s < kRowTaps; ++s) v[s] = load(reinterpret_cast<const float*>(w + s * tap));
      w += kLanes * 4;
      // The three terms of a sum stand nine multiplications apart: they wait for one another.
      vf in[N];
#pragma GCC unroll 32
      for (int j = 0; j < N + 4; ++j) {
        if (j < N) {
          const std::int64_t at = j % 5 == 3 ? three : j % 5 * one;
          in[j] = splat(*reinterpret_cast<const float*>(from[j / 5] + at));
        }
#pragma GCC unroll 3
        for (int s = 0; s < kRowTaps; ++s)
          if (j >= 3 * s && j - 3 * s < P)
            acc[j - 3 * s] = fma(in[j - 2 * s], v[s], acc[j - 3 * s]);
      }
#pragma GCC unroll 4
      for (int b = 0; b < B; ++b) from[b] += 4;
    }
  }
  const vf floor = splat(sum.low);
#pragma GCC unroll 16
  for (int p = 0; p < P; ++p) store_n(y + p * sum.y_pixel, vmax(floor, acc[p]), sum.last);
}

template <int P = kRowTile>
SENTEI_INLINE void row_pick(int width, const RowSum& sum, const float* x, std::int64_t r0,
                            std::int64_t r1, float* y) {
  if (width == P) return row_tile<P>(sum, x, r0, r1, y);
  if constexpr (P > 1) row_pick<P - 1>(width, sum, x, r0, r1, y);
}

}  // namespace
}  // namespace sentei::cpu::SENTEI_ISA
