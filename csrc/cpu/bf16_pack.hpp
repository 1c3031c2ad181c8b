// Rounding to bfloat16 and the order of tiles, with AVX512_BF16 (see bf16_plan.hpp).
#pragma once
#include "cpu/bf16_plan.hpp"
#include "cpu/simd.hpp"

namespace sentei::cpu::SENTEI_ISA {
namespace {

using std::int64_t;
using bf16 = std::uint16_t;

SENTEI_INLINE __m512 load_masked(const float* p, std::uint32_t mask) {
  return _mm512_maskz_loadu_ps(static_cast<__mmask16>(mask), p);
}
// 32 numbers in order.
SENTEI_INLINE __m512i rounded(__m512 low, __m512 high) {
  return (__m512i)_mm512_cvtne2ps_pbh(high, low);
}
// Pairs (a[j], b[j]).
SENTEI_INLINE __m512i rounded_pairs(__m512 a, __m512 b) {
  const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24,
                                         8, 23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  return _mm512_maskz_permutexvar_epi16(~0u, order, rounded(a, b));
}
SENTEI_INLINE void store_row(bf16* p, __m512i v) { _mm512_store_si512(p, v); }

SENTEI_INLINE void transpose_pairs(__m512i (&r)[16]) {
  vf t[kLanes];
#pragma GCC unroll 16
  for (int i = 0; i < kLanes; ++i) t[i] = (vf)r[i];
  transpose(t);
#pragma GCC unroll 16
  for (int i = 0; i < kLanes; ++i) r[i] = (__m512i)t[i];
}

SENTEI_INLINE std::uint32_t mask_of(int64_t n) {  // n lanes of 32
  return n >= 32 ? ~0u : n <= 0 ? 0u : (1u << n) - 1u;
}

// The pixel of `in` that tap t of pixel o falls on, or -1.
SENTEI_INLINE int64_t seen(const Bf16Axis& a, int64_t o, int64_t t) {
  int64_t i =
      a.backward ? o + a.padding - t * a.dilation : o * a.stride + t * a.dilation - a.padding;
  if (a.backward) {
    if (i % a.stride != 0) return -1;
    i /= a.stride;
  }
  return i >= 0 && i < a.in ? i : -1;
}

SENTEI_NOINLINE void write_tables(const Bf16Copies& c, std::byte* workspace) {
  auto* const rows = reinterpret_cast<std::int32_t*>(workspace + c.row_map);
  for (int64_t o = 0; o < c.rows.out; ++o)
    for (int64_t r = 0; r < c.R; ++r)
      rows[o * c.R + r] = static_cast<std::int32_t>(seen(c.rows, o, r));
  auto* columns = reinterpret_cast<Bf16Column*>(workspace + c.column_map);
  const Bf16Axis& a = c.columns;
  for (int64_t s = 0; s < c.copies; ++s)
    for (int64_t q = 0; q < c.width; ++q, ++columns) {
      *columns = {0, 0};
      if (c.merged) {
        const int64_t first = q * a.stride - a.padding;  // of C channels each
        columns->offset = static_cast<std::int32_t>(first * c.in_channels);
        for (int64_t t = 0; t < c.channels / c.merged; ++t)
          if (first + t >= 0 && first + t < a.in)
            columns->mask |= mask_of(c.merged) << (t * c.merged);
        continue;
      }
      int64_t i = c.shifted ? q - a.padding : seen(a, q, s);
      if (c.shifted && a.backward) i = q + a.padding - (c.S - 1) * a.dilation;
      if (i >= 0 && i < a.in) *columns = {static_cast<std::int32_t>(i * c.in_channels), ~0u};
    }
}

// A chunk: images [n0, n1), rows [o0, o1) of the result, and rows [h0, h1) of `in` that they see.
struct Chunk {
  int64_t n0, n1, o0, o1, h0, h1;
};
SENTEI_INLINE Chunk chunk_at(const Bf16Copies& c, const std::int32_t* row_map, int64_t i) {
  Chunk k;
  k.n0 = i / c.row_chunks * c.images, k.n1 = imin(c.N, k.n0 + c.images);
  k.o0 = i % c.row_chunks * c.out_rows, k.o1 = imin(c.rows.out, k.o0 + c.out_rows);
  k.h0 = c.rows.in, k.h1 = 0;
  for (int64_t j = k.o0 * c.R; j < k.o1 * c.R; ++j)
    if (row_map[j] >= 0) k.h0 = imin(k.h0, row_map[j]), k.h1 = imax(k.h1, row_map[j] + 1);
  k.h0 = imin(k.h0, k.h1);
  return k;
}

// dst [copy][block][row][image][column][32]
SENTEI_NOINLINE void copy_chunk(const Bf16Copies& c, const Chunk& k, const Bf16Column* columns,
                                const float* in, bf16* dst) {
  const int64_t images = k.n1 - k.n0, rows = k.h1 - k.h0;
  const int64_t line = images * c.width * kBf16Block, plane = rows * line;
  for (int64_t h = 0; h < rows; ++h)
    for (int64_t n = 0; n < images; ++n) {
      const float* src = in + ((k.n0 + n) * c.rows.in + k.h0 + h) * c.columns.in * c.in_channels;
      for (int64_t s = 0; s < c.copies; ++s) {
        bf16* to = dst + s * c.blocks * plane + h * line + n * c.width * kBf16Block;
        for (int64_t q = 0; q < c.width; ++q, to += kBf16Block) {
          const Bf16Column column = columns[s * c.width + q];
          const float* x = src + column.offset;
          bf16* t = to;
          for (int64_t b = 0; b < c.blocks; ++b, x += kBf16Block, t += plane) {
            const std::uint32_t m = column.mask & mask_of(c.channels - b * kBf16Block);
            store_row(t, rounded(load_masked(x, m), load_masked(x + 16, m >> 16)));
          }
        }
      }
    }
}

// A tile of 16 rows of floats, `ld` apart, 32 terms each, with the terms in pairs down the rows.
SENTEI_INLINE void pack_turned(const float* src, int64_t ld, int64_t rows, std::uint32_t mask,
                               bf16* dst) {
  __m512i r[16];
#pragma GCC unroll 16
  for (int j = 0; j < 16; ++j) {
    const std::uint32_t m = j < rows ? mask : 0;
    r[j] = rounded(load_masked(src + j * ld, m), load_masked(src + j * ld + 16, m >> 16));
  }
  transpose_pairs(r);
#pragma GCC unroll 16
  for (int j = 0; j < 16; ++j) store_row(dst + j * kBf16Block, r[j]);
}

// The filters of block `kb` of the result for 32 channels `cb`: [r][s][half of the block] tiles.
SENTEI_NOINLINE void pack_filter(const Bf16SumPlan& p, const float* w, int64_t kb, int64_t cb,
                                 bf16* dst) {
  const Bf16Copies& c = p.in;
  const int64_t taps = c.R * c.S, out0 = kb * kBf16Block, in0 = cb * kBf16Block;
  if (!c.rows.backward) {  // w (out, taps, in)
    const std::uint32_t mask = mask_of(c.channels - in0);
    for (int64_t t = 0; t < taps; ++t)
      for (int64_t k = out0; k < out0 + kBf16Block; k += 16, dst += kBf16Tile)
        pack_turned(w + (k * taps + t) * c.channels + in0, taps * c.channels, p.out_channels - k,
                    mask, dst);
    return;
  }
  const int64_t C = p.out_channels, ld = taps * C;  // w (in, taps, out)
  for (int64_t t = 0; t < taps; ++t)
    for (int64_t k = out0; k < out0 + kBf16Block; k += 16) {
      const std::uint32_t m = mask_of(C - k);
      for (int64_t i = in0; i < in0 + kBf16Block; i += 2, dst += kBf16Block) {
        const float* a = w + i * ld + t * C + k;
        __builtin_prefetch(a + 16 * ld);  // rows far apart: no stream for the hardware to see
        __builtin_prefetch(a + 17 * ld);
        store_row(dst, rounded_pairs(load_masked(a, i < c.channels ? m : 0),
                                     load_masked(a + ld, i + 1 < c.channels ? m : 0)));
      }
    }
}

// Row h of the chunk for one copy: for each tile of 16 channels, `next` apart, steps of 16 pairs of
// pixels; the pixels of the chunk's images side by side, zeros behind.
SENTEI_NOINLINE void pack_pixels(const Bf16Copies& c, const Chunk& k, const Bf16Column* columns,
                                 const float* in, int64_t h, int64_t tiles, int64_t next,
                                 bf16* dst) {
  const int64_t steps = ceil_div((k.n1 - k.n0) * c.width, kBf16Block);
  const int64_t images = k.n1 - k.n0, in_image = c.rows.in * c.columns.in * c.in_channels;
  const float* src = in + k.n0 * in_image + h * c.columns.in * c.in_channels;
  int64_t n = 0, q = 0;
  for (int64_t j = 0; j < steps * 16; ++j) {
    const float* x[2] = {src, src};
    std::uint32_t m[2] = {0, 0};
    for (int e = 0; e < 2; ++e)
      if (n < images) {
        x[e] = src + n * in_image + columns[q].offset;
        m[e] = columns[q].mask;
        if (++q == c.width) q = 0, ++n;
      }
    bf16* to = dst + j / 16 * kBf16Tile + j % 16 * kBf16Block;
    for (int64_t t = 0; t < tiles; ++t, to += next) {
      const std::uint32_t tail = mask_of(c.channels - t * 16);
      // The mask of merged columns speaks of 32 channels, all others of none or every one.
      const int half = c.merged ? static_cast<int>(t * 16) : 0;
      store_row(to, rounded_pairs(load_masked(x[0] + t * 16, (m[0] >> half) & tail),
                                  load_masked(x[1] + t * 16, (m[1] >> half) & tail)));
    }
  }
}

// 16 numbers of dy from column k on, or those of the listed columns.
SENTEI_INLINE __m512 load_filters(const float* dy, int64_t k, std::uint32_t mask,
                                  const std::int32_t* rows) {
  if (!rows) return load_masked(dy + k, mask);
  const __m512i index = _mm512_maskz_loadu_epi32(static_cast<__mmask16>(mask), rows + k);
  return _mm512_mask_i32gather_ps(_mm512_setzero_ps(), static_cast<__mmask16>(mask), index, dy, 4);
}

// Row o of dy: for each tile of 16 filters, `next` apart, steps of 16 filters by 32 pixels.
SENTEI_NOINLINE void pack_gradient(const Bf16WeightPlan& p, const Bf16WeightArgs& a, const Chunk& k,
                                   int64_t o, int64_t next, bf16* dst) {
  const int64_t Q = p.in.columns.out, image = p.in.rows.out * Q * a.ldk;
  const int64_t pixels = (k.n1 - k.n0) * Q, tiles = p.dy_tiles;
  const int64_t steps = ceil_div(pixels, kBf16Block);
  const float* src = a.dy + k.n0 * image + o * Q * a.ldk;
  const float* x[kBf16Block];
  int64_t n = 0, q = 0;
  for (int64_t step = 0; step < steps; ++step) {
    const int64_t count = imin(kBf16Block, pixels - step * kBf16Block);
    for (int64_t j = 0; j < count; ++j) {
      x[j] = src + n * image + q * a.ldk;
      if (++q == Q) q = 0, ++n;
    }
    for (int64_t j = count; j < kBf16Block; ++j) x[j] = src;
    for (int64_t t = 0; t < tiles; ++t) {
      const std::uint32_t mask = mask_of(p.K - t * 16) & 0xffffu;
      __m512i r[16];
#pragma GCC unroll 16
      for (int j = 0; j < 16; ++j)
        r[j] =
            rounded_pairs(load_filters(x[2 * j], t * 16, 2 * j < count ? mask : 0, a.rows),
                          load_filters(x[2 * j + 1], t * 16, 2 * j + 1 < count ? mask : 0, a.rows));
      transpose_pairs(r);
      bf16* to = dst + t * next + step * kBf16Tile;
#pragma GCC unroll 16
      for (int j = 0; j < 16; ++j) store_row(to + j * kBf16Block, r[j]);
    }
  }
}

}  // namespace
}  // namespace sentei::cpu::SENTEI_ISA
