// Winograd's minimal filtering F(m x m, 3 x 3), m = 2 or 4: the transforms of one tile, on vectors
// of channels. With an input tile d of E x E pixels (E = m + 2) and a filter g,
//   y = A^T [ (G g G^T) . (B^T d B) ] A        m x m outputs
// so a convolution becomes E^2 products of matrices, one for each place of the tile.
// Interpolation points 0, 1, -1, infinity for m = 2 (all constants are multiples of 1/4: exact on
// small integers), and 2, -2 besides for m = 4.
// Source: Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, CVPR 2016, section 4.
#pragma once
#include "cpu/gemm_types.hpp"
#include "cpu/simd.hpp"

namespace sentei::cpu::SENTEI_ISA {
namespace {

// The transforms of one line: o[j so] from d[i si].

// B^T d: m + 2 values to m + 2.
template <int M>
SENTEI_INLINE void winograd_input(const vf* d, int si, vf* o, int so) {
  static_assert(M == 2 || M == 4);
  if constexpr (M == 2) {
    const vf d0 = d[0], d1 = d[si], d2 = d[2 * si], d3 = d[3 * si];
    o[0] = d0 - d2;
    o[so] = d1 + d2;
    o[2 * so] = d2 - d1;
    o[3 * so] = d1 - d3;
  } else {
    const vf d0 = d[0], d1 = d[si], d2 = d[2 * si], d3 = d[3 * si], d4 = d[4 * si], d5 = d[5 * si];
    const vf a = fma(splat(-4.0f), d2, d4), b = fma(splat(-4.0f), d1, d3);
    const vf c = d4 - d2, e = d3 - d1;
    o[0] = fma(splat(4.0f), d0, fma(splat(-5.0f), d2, d4));
    o[so] = a + b;
    o[2 * so] = a - b;
    o[3 * so] = fma(splat(2.0f), e, c);
    o[4 * so] = fma(splat(-2.0f), e, c);
    o[5 * so] = fma(splat(4.0f), d1, fma(splat(-5.0f), d3, d5));
  }
}

// G g: 3 values to m + 2.
template <int M>
SENTEI_INLINE void winograd_filter(const vf* g, int si, vf* o, int so) {
  static_assert(M == 2 || M == 4);
  const vf g0 = g[0], g1 = g[si], g2 = g[2 * si], a = g0 + g2;
  if constexpr (M == 2) {
    o[0] = g0;
    o[so] = splat(0.5f) * (a + g1);
    o[2 * so] = splat(0.5f) * (a - g1);
    o[3 * so] = g2;
  } else {
    const vf b = fma(splat(4.0f), g2, g0);
    o[0] = splat(0.25f) * g0;
    o[so] = splat(-1.0f / 6) * (a + g1);
    o[2 * so] = splat(-1.0f / 6) * (a - g1);
    o[3 * so] = splat(1.0f / 24) * fma(splat(2.0f), g1, b);
    o[4 * so] = splat(1.0f / 24) * fma(splat(-2.0f), g1, b);
    o[5 * so] = g2;
  }
}

// A^T m: m + 2 values to m.
template <int M>
SENTEI_INLINE void winograd_output(const vf* m, int si, vf* o, int so) {
  static_assert(M == 2 || M == 4);
  const vf p = m[si] + m[2 * si], q = m[si] - m[2 * si];
  if constexpr (M == 2) {
    o[0] = m[0] + p;
    o[so] = q - m[3 * si];
  } else {
    const vf r = m[3 * si] + m[4 * si], s = m[3 * si] - m[4 * si];
    o[0] = m[0] + (p + r);
    o[so] = fma(splat(2.0f), s, q);
    o[2 * so] = fma(splat(4.0f), r, p);
    o[3 * so] = fma(splat(8.0f), s, q) + m[5 * si];
  }
}

// One vector of B^T d B: at(i, j) points to the pixel's channels, `lanes` of them are read;
// v[(i E + j) plane] gets a whole vector, zero behind `lanes`.
template <int M, class At>
SENTEI_INLINE void winograd_input_vector(const At& at, int lanes, float* v, std::int64_t plane) {
  constexpr int E = M + 2;
  vf t[E * E];
#pragma GCC unroll 6
  for (int j = 0; j < E; ++j) {
    vf d[E];
#pragma GCC unroll 6
    for (int i = 0; i < E; ++i) d[i] = load_n(at(i, j), lanes);
    winograd_input<M>(d, 1, t + j, E);
  }
#pragma GCC unroll 6
  for (int i = 0; i < E; ++i) {
    vf o[E];
    winograd_input<M>(t + i * E, 1, o, 1);
#pragma GCC unroll 6
    for (int j = 0; j < E; ++j) store(v + (i * E + j) * plane, o[j]);
  }
}

// Calls f(c, v at c, lanes) for every vector of C channels; see winograd_input_tile for v.
template <class F>
SENTEI_INLINE void winograd_channels(std::int64_t C, float* v, std::int64_t segment, const F& f) {
  std::int64_t c = 0;
  for (; c + kPad <= C; c += kPad, v += segment)
    for (int i = 0; i < kPad; i += kLanes) f(c + i, v + i, kLanes);
  for (int i = 0; c < C; c += kLanes, i += kLanes)
    f(c, v + i, static_cast<int>(imin(kLanes, C - c)));
}

// A tile inside the image: x is its first pixel, `row` floats lie between rows.
template <int M>
SENTEI_NOINLINE void winograd_input_inner(const float* x, std::int64_t row, std::int64_t C,
                                          float* v, std::int64_t plane, std::int64_t segment) {
  winograd_channels(C, v, segment, [=](std::int64_t c, float* o, int lanes) {
    const float* first = x + c;
    const auto at = [=](int i, int j) { return first + i * row + j * C; };
    if (lanes == kLanes) {
      winograd_input_vector<M>(at, kLanes, o, plane);
    } else {
      winograd_input_vector<M>(at, lanes, o, plane);
    }
  });
}

// Any tile: a pointer to each of its pixels, row by row.
template <int M>
SENTEI_NOINLINE void winograd_input_border(const float* const* pixels, std::int64_t C, float* v,
                                           std::int64_t plane, std::int64_t segment) {
  constexpr int E = M + 2;
  winograd_channels(C, v, segment, [=](std::int64_t c, float* o, int lanes) {
    const auto at = [=](int i, int j) { return pixels[i * E + j] + c; };
    if (lanes == kLanes) {
      winograd_input_vector<M>(at, kLanes, o, plane);
    } else {
      winograd_input_vector<M>(at, lanes, o, plane);
    }
  });
}

// B^T d B of one tile of an image (H, W, C), whose first pixel (h0, w0) may lie outside: pixels
// outside are zero. v[e plane + c], e < E^2, c < C rounded up to whole vectors; or, where the
// channels lie in segments of kPad, v[e plane + c / kPad segment + c % kPad]. `zeros`: C zeros.
template <int M>
SENTEI_INLINE void winograd_input_tile(const float* image, std::int64_t H, std::int64_t W,
                                       std::int64_t C, std::int64_t h0, std::int64_t w0,
                                       const float* zeros, float* v, std::int64_t plane,
                                       std::int64_t segment = kPad) {
  constexpr int E = M + 2;
  if (h0 >= 0 && w0 >= 0 && h0 + E <= H && w0 + E <= W)
    return winograd_input_inner<M>(image + (h0 * W + w0) * C, W * C, C, v, plane, segment);
  // On the border: a table of pointers, made without a branch, instead of a branch for every pixel.
  const auto zero = reinterpret_cast<std::uintptr_t>(zeros);
  const auto first = reinterpret_cast<std::uintptr_t>(image);
  std::uintptr_t pixels[E * E], columns[E];
#pragma GCC unroll 6
  for (int j = 0; j < E; ++j)
    columns[j] = -static_cast<std::uintptr_t>(static_cast<std::uint64_t>(w0 + j) <
                                              static_cast<std::uint64_t>(W));
  const auto row = static_cast<std::uintptr_t>(W * C) * sizeof(float);
  const auto pixel = static_cast<std::uintptr_t>(C) * sizeof(float);
  std::uintptr_t at = first + static_cast<std::uintptr_t>(h0 * W + w0) * pixel;
  for (int i = 0; i < E; ++i, at += row) {
    const std::uintptr_t inside = -static_cast<std::uintptr_t>(static_cast<std::uint64_t>(h0 + i) <
                                                               static_cast<std::uint64_t>(H));
#pragma GCC unroll 6
    for (int j = 0; j < E; ++j)
      pixels[i * E + j] =
          zero ^ ((zero ^ (at + static_cast<std::uintptr_t>(j) * pixel)) & inside & columns[j]);
  }
  const float* table[E * E];
  __builtin_memcpy(table, pixels, sizeof table);
  winograd_input_border<M>(table, C, v, plane, segment);
}

}  // namespace
}  // namespace sentei::cpu::SENTEI_ISA
