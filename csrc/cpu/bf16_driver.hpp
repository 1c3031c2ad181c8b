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
  bf16* own;  // packed here, unless they have been
  const bf16* filter;
  int64_t filter_block;  // of one block of the result's channels

  explicit Sum(const Bf16SumArgs& args)
      : a(args),
        p(*args.plan),
        c(args.plan->in),
        row_map(reinterpret_cast<const std::int32_t*>(a.workspace + c.row_map)),
        columns(reinterpret_cast<const Bf16Column*>(a.workspace + c.column_map)),
        own(reinterpret_cast<bf16*>(a.workspace + p.filter)),
        filter(p.packed ? reinterpret_cast<const bf16*>(a.packed) : own),
        filter_block(c.blocks * c.R * c.S * 2 * kBf16Tile) {}

  bf16* copy(int64_t slot) const {
    return reinterpret_cast<bf16*>(a.workspace + p.copy +
                                   static_cast<std::size_t>(slot) * p.copy_bytes);
  }

  // Two tiles of results from x and x + second on, filters w; rows of `in` as listed in `map`.
  template <bool A2, bool B2>
  __attribute__((always_inline)) void block(const bf16* x, int64_t second, const std::int32_t* map,
                                            int64_t h0, int64_t line, int64_t plane, const bf16* w,
                                            float* sums) const {
    const int64_t tap = 2 * kBf16Tile;
    Unit::zero(sums);
    if (c.R * c.S == 1) {
      if (map[0] >= 0)
        Unit::template add<A2, B2>(sums, x + (map[0] - h0) * line,
                                   x + (map[0] - h0) * line + second, plane, w, w + kBf16Tile, tap,
                                   c.blocks);
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
          Unit::template add<A2, B2>(sums, from, from + second, next, wr, wr + kBf16Tile, tap, c.S);
        }
    }
    Unit::finish(sums);
  }

  // 16 columns of a row of a copy, and where the results stand.
  struct Tile {
    int64_t segment, column, count, n, q;
  };
  Tile tile_at(int64_t i, int64_t each, int64_t length) const {
    const int64_t segment = i / each, t = i % each * kBf16Half, Q = c.columns.out;
    return {segment, t, imin(kBf16Half, length - t), segment + t / Q, t % Q};
  }
  float* result_at(const Tile& t, int64_t o, int64_t n0, int64_t kb) const {
    return a.out + (((n0 + t.n) * c.rows.out + o) * c.columns.out + t.q) * p.out_channels +
           kb * kBf16Block;
  }

  void store_block(const float* sums, const Tile& t, int64_t o, int64_t n0, int64_t kb) const {
    const int64_t K = p.out_channels, k = kb * kBf16Block;
    const std::uint32_t mask = mask_of(K - k);
    const auto low = static_cast<__mmask16>(mask), high = static_cast<__mmask16>(mask >> 16);
    const __m512 b0 = a.bias ? load_masked(a.bias + k, mask) : _mm512_setzero_ps();
    const __m512 b1 = a.bias ? load_masked(a.bias + k + 16, mask >> 16) : _mm512_setzero_ps();
    const __m512 floor = _mm512_set1_ps(a.relu ? 0.0f : -__builtin_inff());
    float* to = result_at(t, o, n0, kb);
    int64_t q = t.q;
    for (int64_t j = 0; j < t.count; ++j) {
      const __m512 y0 = _mm512_load_ps(sums + j * kBf16Block) + b0;
      const __m512 y1 = _mm512_load_ps(sums + j * kBf16Block + kBf16Half) + b1;
      _mm512_mask_storeu_ps(to, low, _mm512_maskz_max_ps(0xffff, floor, y0));
      if (high) _mm512_mask_storeu_ps(to + kBf16Half, high, _mm512_maskz_max_ps(0xffff, floor, y1));
      to += K;
      if (++q == c.columns.out) q = 0, to += (c.rows.out - 1) * c.columns.out * K;
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
        for (int64_t i = o; i < imin(k.o1, o + band); ++i)
          compute_row(k, copied, kb, filter + kb * filter_block, i);
  }

  // Row o of the result for every image of the chunk, two tiles of 16 columns at a time. With one
  // copy for all columns of the filter the second tile may belong to the next image.
  void compute_row(const Chunk& k, const bf16* copied, int64_t kb, const bf16* w, int64_t o) const {
    alignas(64) float sums[kBf16Block * kBf16Block];
    const int64_t images = k.n1 - k.n0, line = images * c.width * kBf16Block;
    const int64_t plane = (k.h1 - k.h0) * line, Q = c.columns.out;
    const int64_t segments = c.shifted ? images : 1, length = c.shifted ? Q : images * Q;
    const bool wide = p.out_channels - kb * kBf16Block > kBf16Half;
    const std::int32_t* map = row_map + o * c.R;
    const int64_t each = ceil_div(length, kBf16Half), tiles = segments * each;
    for (int64_t i = 0; i < tiles; i += 2) {
      const Tile a = tile_at(i, each, length), b = tile_at(imin(i + 1, tiles - 1), each, length);
      const bf16* const x = copied + (a.segment * c.width + a.column) * kBf16Block;
      const int64_t second = ((b.segment - a.segment) * c.width + b.column - a.column) * kBf16Block;
      if (i + 1 < tiles) {
        wide ? block<true, true>(x, second, map, k.h0, line, plane, w, sums)
             : block<true, false>(x, second, map, k.h0, line, plane, w, sums);
      } else {
        wide ? block<false, true>(x, second, map, k.h0, line, plane, w, sums)
             : block<false, false>(x, second, map, k.h0, line, plane, w, sums);
      }
      store_block(sums, a, o, k.n0, kb);
      if (i + 1 < tiles) store_block(sums + kBf16Half * kBf16Block, b, o, k.n0, kb);
    }
  }

  void run() const {
    write_tables(c, a.workspace);
    if (!p.once && !p.packed)
      parallel_for(p.out_blocks * c.blocks,
                   [&](int64_t i) { pack(i / c.blocks, i % c.blocks, i / c.blocks); });
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
                     const bf16* const copied = copy(p.shared ? i : slot);
                     if (!p.once) return compute(k, copied, blocks.begin, blocks.end);
                     for (int64_t kb = blocks.begin; kb < blocks.end; ++kb) {
                       for (int64_t cb = 0; cb < c.blocks; ++cb) pack(kb, cb, slot);
                       for (int64_t o = k.o0; o < k.o1; ++o)
                         compute_row(k, copied, kb, filter + slot * filter_block, o);
                     }
                   });
  }

  // The filters of block kb for 32 channels, to the place of block `at`.
  void pack(int64_t kb, int64_t cb, int64_t at) const {
    pack_filter(p, a.filter, kb, cb, own + at * filter_block + cb * c.R * c.S * 2 * kBf16Tile);
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

  // x [copy][tile of 16 channels][row][step], dy [tile of 16 filters][row][step]: what a sum reads
  // lies in one piece.
  void pack_rows(const Chunk& k, int64_t slot, int64_t begin, int64_t end) const {
    const int64_t line = steps_of(k) * kBf16Tile, rows = k.h1 - k.h0, out_rows = k.o1 - k.o0;
    for (int64_t i = begin; i < end; ++i) {
      if (i < c.copies * rows) {
        const int64_t s = i / rows, h = i % rows;
        pack_pixels(c, k, columns + s * c.width, a.x, k.h0 + h, p.x_tiles, rows * line,
                    packed_x(slot) + (s * p.x_tiles * rows + h) * line);
      } else {
        const int64_t o = i - c.copies * rows;
        pack_gradient(p, a, k, k.o0 + o, out_rows * line, packed_dy(slot) + o * line);
      }
    }
  }
  int64_t rows_of(const Chunk& k) const { return c.copies * (k.h1 - k.h0) + k.o1 - k.o0; }

  template <bool A2, bool B2>
  __attribute__((always_inline)) void block(const Chunk& k, int64_t slot, int64_t kb, int64_t cb,
                                            int64_t r, int64_t s, float* sums) const {
    const int64_t steps = steps_of(k), line = steps * kBf16Tile;
    const int64_t dy_tile = (k.o1 - k.o0) * line, x_tile = (k.h1 - k.h0) * line;
    const bf16* const dy = packed_dy(slot) + kb * 2 * dy_tile;
    const bf16* const x = packed_x(slot) + (s * p.x_tiles + 2 * cb) * x_tile;
    Unit::zero(sums);
    for (int64_t o = k.o0, n; o < k.o1; o += n) {
      const std::int32_t* const map = row_map + o * c.R + r;
      n = 1;
      if (map[0] < 0) continue;
      while (o + n < k.o1 && map[n * c.R] == map[0] + n) ++n;  // neighbours here and there
      const bf16* const ao = dy + (o - k.o0) * line;
      const bf16* const bo = x + (map[0] - k.h0) * line;
      Unit::template add<A2, B2>(sums, ao, ao + dy_tile, kBf16Tile, bo, bo + x_tile, kBf16Tile,
                                 n * steps);
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

inline void pack_all(const Bf16SumPlan& p, const float* filter, std::byte* packed) {
  const int64_t blocks = p.in.blocks, size = p.in.R * p.in.S * 2 * kBf16Tile;
  parallel_for(p.out_blocks * blocks, [&](int64_t i) {
    pack_filter(p, filter, i / blocks, i % blocks, reinterpret_cast<bf16*>(packed) + i * size);
  });
}

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
