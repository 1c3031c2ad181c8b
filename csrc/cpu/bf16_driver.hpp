// Convolution over tiles of bfloat16, for any unit that multiplies them:
//   Unit::enter(), leave()   around the work of a thread
//   Unit::zero(C)            the 32 x 32 sums
//   Unit::add<A2, B2>(C, a0, a1, a_step, b0, b1, b_step, n)   n steps; without A2 (B2) only the
//                            first 16 rows (columns) of the block
//   Unit::finish(C)          C holds the sums, a row after the other
// The order of every sum depends on the geometry alone.
#pragma once
#include "core/parallel.hpp"
#include "cpu/bf16_pack.hpp"

namespace sentei::cpu::SENTEI_ISA {
namespace {

// Runs task(i, slot) for every i in [0, tasks), at most `slots` of them at once.
template <class Unit, class Task>
SENTEI_INLINE void in_slots(int64_t tasks, int64_t slots, const Task& task) {
  int64_t next = 0;
  parallel_for(imin(tasks, slots), [&](int64_t slot) {
    Unit::enter();
    for (int64_t i; (i = __atomic_fetch_add(&next, 1, __ATOMIC_RELAXED)) < tasks;) task(i, slot);
    Unit::leave();
  });
}

constexpr int64_t kBandPixels = 256, kBandFilter = 1 << 18;  // results, bfloat16 numbers

template <class Unit>
struct Sum {
  const Bf16SumArgs& a;
  const Bf16SumPlan& p;
  const Bf16Copies& c;
  const std::int32_t* row_map;
  const Bf16Column* columns;
  bf16* filter;
  int64_t filter_block;  // of one block of the result's channels

  explicit Sum(const Bf16SumArgs& args)
      : a(args),
        p(*args.plan),
        c(args.plan->in),
        row_map(reinterpret_cast<const std::int32_t*>(a.workspace + c.row_map)),
        columns(reinterpret_cast<const Bf16Column*>(a.workspace + c.column_map)),
        filter(reinterpret_cast<bf16*>(a.workspace + p.filter)),
        filter_block(c.blocks * c.R * c.S * 2 * kBf16Tile) {}

  bf16* copy(int64_t slot) const {
    return reinterpret_cast<bf16*>(a.workspace + p.copy +
                                   static_cast<std::size_t>(slot) * p.copy_bytes);
  }

  // m results from x on, for the block kb of channels; rows of `in` as listed in `map`.
  template <bool A2, bool B2>
  __attribute__((always_inline)) void block(const bf16* x, const std::int32_t* map, int64_t h0,
                                            int64_t line, int64_t plane, int64_t kb,
                                            float* sums) const {
    const bf16* const w = filter + kb * filter_block;
    const int64_t tap = 2 * kBf16Tile;
    Unit::zero(sums);
    if (c.R * c.S == 1) {
      if (map[0] >= 0)
        Unit::template add<A2, B2>(sums, x + (map[0] - h0) * line,
                                   x + (map[0] - h0) * line + kBf16Tile, plane, w, w + kBf16Tile,
                                   tap, c.blocks);
    } else {
      // From one column of the filter to the next.
      const int64_t next = !c.shifted           ? c.blocks * plane
                           : c.columns.backward ? -c.columns.dilation * kBf16Block
                                                : c.columns.dilation * kBf16Block;
      if (next < 0) x -= (c.S - 1) * next;
      for (int64_t b = 0; b < c.blocks; ++b)
        for (int64_t r = 0; r < c.R; ++r) {
          if (map[r] < 0) continue;
          const bf16* const from = x + b * plane + (map[r] - h0) * line;
          const bf16* const wr = w + (b * c.R + r) * c.S * tap;
          Unit::template add<A2, B2>(sums, from, from + kBf16Tile, next, wr, wr + kBf16Tile, tap,
                                     c.S);
        }
    }
    Unit::finish(sums);
  }

  __attribute__((always_inline)) void store_block(const float* sums, int64_t m, int64_t o,
                                                  int64_t n, int64_t q, int64_t kb) const {
    const int64_t K = p.out_channels, k = kb * kBf16Block, P = c.rows.out, Q = c.columns.out;
    const std::uint32_t mask = mask_of(K - k);
    const auto low = static_cast<__mmask16>(mask), high = static_cast<__mmask16>(mask >> 16);
    const __m512 b0 = a.bias ? load_masked(a.bias + k, mask) : _mm512_setzero_ps();
    const __m512 b1 = a.bias ? load_masked(a.bias + k + 16, mask >> 16) : _mm512_setzero_ps();
    const __m512 floor = _mm512_set1_ps(a.relu ? 0.0f : -__builtin_inff());
    float* to = a.out + ((n * P + o) * Q + q) * K + k;
    for (int64_t j = 0; j < m; ++j) {
      const __m512 y0 = _mm512_load_ps(sums + j * kBf16Block) + b0;
      const __m512 y1 = _mm512_load_ps(sums + j * kBf16Block + 16) + b1;
      _mm512_mask_storeu_ps(to, low, _mm512_maskz_max_ps(0xffff, floor, y0));
      if (high) _mm512_mask_storeu_ps(to + 16, high, _mm512_maskz_max_ps(0xffff, floor, y1));
      to += K;
      if (++q == Q) q = 0, to += (P - 1) * Q * K;
    }
  }

  // Bands of rows, all channels of the result for each: its rows are then written in one go. Where
  // the filters do not stay in the cache a band is all rows.
  void compute(const Chunk& k, const bf16* copied, int64_t kb0, int64_t kb1) const {
    const int64_t length = (k.n1 - k.n0) * c.columns.out;
    const int64_t band = filter_block * (kb1 - kb0) > kBandFilter
                             ? k.o1 - k.o0
                             : imax(1, kBandPixels / imax(1, length));
    for (int64_t o = k.o0; o < k.o1; o += band)
      for (int64_t kb = kb0; kb < kb1; ++kb)
        for (int64_t i = o; i < imin(k.o1, o + band); ++i) compute_row(k, copied, kb, i);
  }

  void compute_row(const Chunk& k, const bf16* copied, int64_t kb, int64_t o) const {
    alignas(64) float sums[kBf16Block * kBf16Block];
    const int64_t images = k.n1 - k.n0, line = images * c.width * kBf16Block;
    const int64_t plane = (k.h1 - k.h0) * line, Q = c.columns.out;
    const int64_t segments = c.shifted ? images : 1, length = c.shifted ? Q : images * Q;
    const bool wide = p.out_channels - kb * kBf16Block > kBf16Half;
    const std::int32_t* map = row_map + o * c.R;
    for (int64_t g = 0; g < segments; ++g)
      for (int64_t t = 0; t < length; t += kBf16Block) {
        const int64_t m = imin(kBf16Block, length - t);
        const bf16* x = copied + (g * c.width + t) * kBf16Block;
        if (m > kBf16Half) {
          wide ? block<true, true>(x, map, k.h0, line, plane, kb, sums)
               : block<true, false>(x, map, k.h0, line, plane, kb, sums);
        } else {
          wide ? block<false, true>(x, map, k.h0, line, plane, kb, sums)
               : block<false, false>(x, map, k.h0, line, plane, kb, sums);
        }
        store_block(sums, m, o, k.n0 + g + t / Q, t % Q, kb);
      }
  }

  void run() const {
    write_tables(c, a.workspace);
    parallel_for(p.out_blocks * c.blocks, [&](int64_t i) {
      pack_filter(p, a.filter, i / c.blocks, i % c.blocks, filter + i * c.R * c.S * 2 * kBf16Tile);
    });
    if (p.shared)
      parallel_for(c.chunks, [&](int64_t i) {
        copy_chunk(c, chunk_at(c, row_map, i), columns, a.in, copy(i));
      });
    in_slots<Unit>(c.chunks * p.parts, p.shared ? c.chunks * p.parts : p.slots,
                   [&](int64_t task, int64_t slot) {
                     const int64_t i = task / p.parts;
                     const Chunk k = chunk_at(c, row_map, i);
                     const Range blocks = even_part(p.out_blocks, p.parts, task % p.parts);
                     if (!p.shared) copy_chunk(c, k, columns, a.in, copy(slot));
                     compute(k, copy(p.shared ? i : slot), blocks.begin, blocks.end);
                   });
  }
};

template <class Unit>
struct Weight {
  const Bf16WeightArgs& a;
  const Bf16WeightPlan& p;
  const Bf16Copies& c;
  const std::int32_t* row_map;
  const Bf16Column* columns;

  explicit Weight(const Bf16WeightArgs& args)
      : a(args),
        p(*args.plan),
        c(args.plan->in),
        row_map(reinterpret_cast<const std::int32_t*>(a.workspace + c.row_map)),
        columns(reinterpret_cast<const Bf16Column*>(a.workspace + c.column_map)) {}

  bf16* packed_x(int64_t slot) const {
    return reinterpret_cast<bf16*>(a.workspace + p.pack) + slot * (p.x_size + p.dy_size);
  }
  bf16* packed_dy(int64_t slot) const { return packed_x(slot) + p.x_size; }
  int64_t steps_of(const Chunk& k) const {
    return ceil_div((k.n1 - k.n0) * c.columns.out, kBf16Block);
  }

  // x [copy][row][tile of 16 channels][step], dy [row][tile of 16 filters][step]
  void pack_rows(const Chunk& k, int64_t slot, int64_t begin, int64_t end) const {
    const int64_t steps = steps_of(k), tiles = p.x_tiles, rows = k.h1 - k.h0;
    for (int64_t i = begin; i < end; ++i) {
      if (i < c.copies * rows) {
        pack_pixels(c, k, columns + i / rows * c.width, a.x, k.h0 + i % rows, steps, 0, tiles,
                    packed_x(slot) + i * tiles * steps * kBf16Tile);
      } else {
        const int64_t o = i - c.copies * rows;
        pack_gradient(p, a, k, k.o0 + o, steps,
                      packed_dy(slot) + o * p.dy_tiles * steps * kBf16Tile);
      }
    }
  }
  int64_t rows_of(const Chunk& k) const { return c.copies * (k.h1 - k.h0) + k.o1 - k.o0; }

  template <bool A2, bool B2>
  __attribute__((always_inline)) void block(const Chunk& k, int64_t slot, int64_t kb, int64_t cb,
                                            int64_t r, int64_t s, float* sums) const {
    const int64_t steps = steps_of(k), half = steps * kBf16Tile;
    const bf16* const dy = packed_dy(slot) + kb * 2 * half;
    const bf16* const x = packed_x(slot) + (s * (k.h1 - k.h0) * p.x_tiles + 2 * cb) * half;
    Unit::zero(sums);
    for (int64_t o = k.o0; o < k.o1; ++o) {
      const int64_t h = row_map[o * c.R + r];
      if (h < 0) continue;
      const bf16* const ao = dy + (o - k.o0) * p.dy_tiles * half;
      const bf16* const bo = x + (h - k.h0) * p.x_tiles * half;
      Unit::template add<A2, B2>(sums, ao, ao + half, kBf16Tile, bo, bo + half, kBf16Tile, steps);
    }
    Unit::finish(sums);
  }

  // Adds the chunk to out [k][r][s][c] with K rows, `ld` apart; sets it when it is the first.
  void compute(const Chunk& k, int64_t slot, Range kbs, Range cbs, float* slot_sums,
               bool first) const {
    alignas(64) float sums[kBf16Block * kBf16Block];
    const int64_t taps = c.R * c.S, ld = p.shared ? taps * c.channels : kBf16Block;
    for (int64_t kb = kbs.begin; kb < kbs.end; ++kb)
      for (int64_t cb = cbs.begin; cb < cbs.end; ++cb) {
        const int64_t rows = imin(kBf16Block, p.K - kb * kBf16Block);
        const int64_t cols = imin(kBf16Block, c.channels - cb * kBf16Block);
        for (int64_t t = 0; t < taps; ++t) {
          const int64_t r = t / c.S, s = t % c.S;
          if (rows > kBf16Half) {
            cols > kBf16Half ? block<true, true>(k, slot, kb, cb, r, s, sums)
                             : block<true, false>(k, slot, kb, cb, r, s, sums);
          } else {
            cols > kBf16Half ? block<false, true>(k, slot, kb, cb, r, s, sums)
                             : block<false, false>(k, slot, kb, cb, r, s, sums);
          }
          float* out =
              p.shared ? a.dw + kb * kBf16Block * ld + t * c.channels + cb * kBf16Block
                       : slot_sums + ((kb * c.blocks + cb) * taps + t) * kBf16Block * kBf16Block;
          add_block(sums, rows, mask_of(cols), out, ld, first);
        }
      }
  }
  float* sums_of(int64_t slot) const {
    return reinterpret_cast<float*>(a.workspace + p.sums) + slot * p.slot_floats;
  }

  static void add_block(const float* sums, int64_t rows, std::uint32_t mask, float* out, int64_t ld,
                        bool first) {
    const auto low = static_cast<__mmask16>(mask), high = static_cast<__mmask16>(mask >> 16);
    for (int64_t j = 0; j < rows; ++j, out += ld, sums += kBf16Block) {
      __m512 s0 = _mm512_load_ps(sums), s1 = _mm512_load_ps(sums + 16);
      if (!first) {
        s0 += _mm512_maskz_loadu_ps(low, out);
        s1 += _mm512_maskz_loadu_ps(high, out + 16);
      }
      _mm512_mask_storeu_ps(out, low, s0);
      _mm512_mask_storeu_ps(out + 16, high, s1);
    }
  }

  // dw of one block of filters from the sums of all slots, in their order.
  void gather(int64_t kb) const {
    const int64_t taps = c.R * c.S, rows = imin(kBf16Block, p.K - kb * kBf16Block);
    for (int64_t cb = 0; cb < c.blocks; ++cb) {
      const std::uint32_t mask = mask_of(c.channels - cb * kBf16Block);
      for (int64_t t = 0; t < taps; ++t) {
        const int64_t at = ((kb * c.blocks + cb) * taps + t) * kBf16Block * kBf16Block;
        for (int64_t j = 0; j < rows; ++j) {
          float* out = a.dw + ((kb * kBf16Block + j) * taps + t) * c.channels + cb * kBf16Block;
          for (int64_t h = 0; h < kBf16Block; h += kBf16Half) {
            __m512 sum = _mm512_setzero_ps();
            for (int64_t slot = 0; slot < p.slots; ++slot)
              sum += _mm512_load_ps(sums_of(slot) + at + j * kBf16Block + h);
            _mm512_mask_storeu_ps(out + h, static_cast<__mmask16>(mask >> h), sum);
          }
        }
      }
    }
  }

  void run() const {
    write_tables(c, a.workspace);
    if (p.shared) {
      const int64_t most = c.copies * c.in_rows + c.out_rows;
      parallel_for(c.chunks * most, [&](int64_t i) {
        const Chunk k = chunk_at(c, row_map, i / most);
        pack_rows(k, i / most, i % most, imin(i % most + 1, rows_of(k)));
      });
      const int64_t tasks = p.c_parts * p.k_parts;
      in_slots<Unit>(tasks, tasks, [&](int64_t i, int64_t) {
        const Range kbs = even_part(p.k_blocks, p.k_parts, i % p.k_parts);
        const Range cbs = even_part(c.blocks, p.c_parts, i / p.k_parts);
        for (int64_t j = 0; j < c.chunks; ++j)
          compute(chunk_at(c, row_map, j), j, kbs, cbs, nullptr, j == 0);
      });
      return;
    }
    in_slots<Unit>(p.slots, p.slots, [&](int64_t i, int64_t scratch) {
      const Range mine = even_part(c.chunks, p.slots, i);
      for (int64_t j = mine.begin; j < mine.end; ++j) {
        const Chunk k = chunk_at(c, row_map, j);
        pack_rows(k, scratch, 0, rows_of(k));
        compute(k, scratch, {0, p.k_blocks}, {0, c.blocks}, sums_of(i), j == mine.begin);
      }
    });
    parallel_for(p.k_blocks, [&](int64_t kb) { gather(kb); });
  }
};

template <class Unit>
void run_sum(const Bf16SumArgs& args) {
  Sum<Unit>(args).run();
}
template <class Unit>
void run_weight(const Bf16WeightArgs& args) {
  Weight<Unit>(args).run();
}

}  // namespace
}  // namespace sentei::cpu::SENTEI_ISA
