// Rows of channels, for kernels that map or reduce per channel. Few or ragged channels are read as
// wider rows: k rows of C channels make one row of width k*C, a multiple of the vector, whose
// column j is channel j mod C; the rows left over make one short row. So every tier runs whole
// vectors. Sums are two-level: float over blocks of rows, then double in slots that the problem
// alone fixes.
#pragma once
#include <cstddef>

#include "core/parallel.hpp"
#include "cpu/simd.hpp"

namespace sentei::cpu::SENTEI_ISA {

struct Full {
  static constexpr int n = kLanes;
};
struct Part {
  int n;
};
struct Past : Full {};  // a whole vector, stored past the caches
SENTEI_INLINE vf ld(const float* p, Full) { return load(p); }
SENTEI_INLINE vf ld(const float* p, Part t) { return load_n(p, t.n); }
SENTEI_INLINE void st(float* p, vf v, Full) { store(p, v); }
SENTEI_INLINE void st(float* p, vf v, Part t) { store_n(p, v, t.n); }

SENTEI_INLINE void st(float* p, vf v, Past) { store_stream(p, v); }

// Whether rows of `width` floats from p on, `elements` in all, are better stored past the caches:
// no cache holds them for the next reader, and every vector is aligned. A map of 6.5 MB is still
// found in the last-level cache: a whole step was 1 to 2 % faster with it stored there.
constexpr std::int64_t kPast = std::int64_t{1} << 22;   // elements
constexpr std::int64_t kLarge = std::int64_t{1} << 20;  // from here on tasks are larger
SENTEI_INLINE bool stores_past(const float* p, std::int64_t width, std::int64_t elements) {
  return elements >= kPast && width % kLanes == 0 &&
         reinterpret_cast<std::uintptr_t>(p) % sizeof(vf) == 0;
}

struct View {
  std::int64_t rows, width;  // full rows
  std::int64_t rest;         // elements of the short last row
  std::int64_t copies;       // width = copies * C
};

SENTEI_INLINE View view_of(std::int64_t rows, std::int64_t C) {
  if (C >= 4 * kLanes) return {rows, C, 0, 1};
  std::int64_t k = kLanes / imin(C & -C, kLanes);
  k *= ceil_div(4 * kLanes, C * k);
  return {rows / k, C * k, rows % k * C, k};
}

SENTEI_INLINE std::int64_t padded(std::int64_t width) { return ceil_div(width, kLanes) * kLanes; }

// Column j of a wide row takes the value of channel j mod C.
SENTEI_INLINE void expand(const View& v, const float* channels, float* wide) {
  const std::int64_t C = v.width / v.copies;
  for (std::int64_t k = 0; k < v.copies; ++k)
    for (std::int64_t c = 0; c < C; ++c) wide[k * C + c] = channels[c];
}

template <class Whole = Full, class F>
SENTEI_INLINE void columns(std::int64_t width, const F& f) {
  std::int64_t c = 0;
#pragma GCC unroll 4
  for (; c + kLanes <= width; c += kLanes) f(c, Whole{});
  if (c < width) f(c, Part{static_cast<int>(width - c)});
}

constexpr std::int64_t kMapBlock = 32768;  // elements of a task; four times as many in large maps

template <class Whole, class F>
SENTEI_INLINE void map_rows_as(const View& v, const F& f) {
  const std::int64_t block = v.rows * v.width >= kLarge ? 4 * kMapBlock : kMapBlock;
  const std::int64_t per = imax(1, block / v.width);
  const std::int64_t full = ceil_div(v.rows, per), tasks = full + (v.rest > 0);
  parallel_for(tasks, [&](std::int64_t reversed) {
    const std::int64_t task = tasks - 1 - reversed;
    if (task == full) {
      const std::int64_t base = v.rows * v.width;
      columns(v.rest, [&](std::int64_t c, auto tag) { f(base + c, c, tag); });
      return;
    }
    const std::int64_t end = imin(v.rows, (task + 1) * per);
    for (std::int64_t r = task * per; r < end; ++r) {
      const std::int64_t base = r * v.width;
      columns<Whole>(v.width, [&](std::int64_t c, auto tag) { f(base + c, c, tag); });
    }
    stream_fence();
  });
}

// f(i, c, tag) for every vector: element i of the array `out`, column c. Last rows first: a
// reduction just before has left them in the cache.
template <class F>
SENTEI_INLINE void map_rows(const View& v, const float* out, const F& f) {
  if (stores_past(out, v.width, v.rows * v.width))
    map_rows_as<Past>(v, f);
  else
    map_rows_as<Full>(v, f);
}

constexpr std::int64_t kBlockRows = 128;  // rows summed in float
constexpr std::int64_t kGroup = 4;        // vectors of a row summed together

SENTEI_INLINE std::int64_t reduce_slots(const View& v) {
  return imax(1, imin(64, v.rows * v.width / 65536));
}
// Doubles of the slots: two sums per column, or more.
template <int Sums = 2>
SENTEI_INLINE std::int64_t slot_doubles(const View& v) {
  return reduce_slots(v) * Sums * padded(v.width);
}

// Passes that only read wait for memory: the prefetchers of the hardware stop at every page of 4 KB
// and keep few lines on their way. Lines asked for by hand, this many rows of a block ahead, made
// such a pass 1.7 times as fast.
constexpr std::int64_t kAheadRows = 32;
constexpr int kLine = 16;  // floats of a cache line

// P gives: State begin(i, c, tag) at the first row of a block, step(state, i, c, tag, s, q) per
// vector, end(state, c, live lanes, rows, s, q, S, Q), which adds a block's float sums to the
// double ones, and fetch(i), which prefetches element i of what step reads. `next`: where the block
// that is read after this one begins.
template <int NV, class Tag, class P>
SENTEI_INLINE void reduce_block(const P& p, std::int64_t base, std::int64_t stride,
                                std::int64_t rows, std::int64_t c, std::int64_t next, Tag tag,
                                double* S, double* Q) {
  vf s[NV] = {}, q[NV] = {};
  typename P::State state[NV] = {};
#pragma GCC unroll 4
  for (int j = 0; j < NV; ++j) state[j] = p.begin(base + c + j * kLanes, c + j * kLanes, tag);
  std::int64_t at = base + c, ahead = at + kAheadRows * stride;
  for (std::int64_t r = 0; r < rows; ++r, at += stride, ahead += stride) {
    if (r + kAheadRows == rows) ahead = next;
#pragma GCC unroll 4
    for (int j = 0; j < NV; ++j) {
      if (j * kLanes % kLine == 0) p.fetch(ahead + j * kLanes);
      p.step(state[j], at + j * kLanes, tag, s[j], q[j]);
    }
  }
#pragma GCC unroll 4
  for (int j = 0; j < NV; ++j)
    p.end(state[j], c + j * kLanes, tag.n, rows, s[j], q[j], S + c + j * kLanes,
          Q + c + j * kLanes);
}

template <class P>
SENTEI_INLINE void reduce_columns(const P& p, std::int64_t base, std::int64_t stride,
                                  std::int64_t rows, std::int64_t width, double* S, double* Q) {
  std::int64_t c = 0;
  const auto next = [=](std::int64_t end) {
    return base + (end + kLanes <= width ? end : rows * stride);
  };
  for (; c + kGroup * kLanes <= width; c += kGroup * kLanes)
    reduce_block<kGroup>(p, base, stride, rows, c, next(c + kGroup * kLanes), Full{}, S, Q);
  for (; c + kLanes <= width; c += kLanes)
    reduce_block<1>(p, base, stride, rows, c, next(c + kLanes), Full{}, S, Q);
  if (c < width)
    reduce_block<1>(p, base, stride, rows, c, next(width), Part{static_cast<int>(width - c)}, S, Q);
}

SENTEI_INLINE void add_to(double* to, vf v) {
  float t[kLanes];
  store(t, v);
  for (int l = 0; l < kLanes; ++l) to[l] += t[l];
}

// The sums per channel, left in slots[c], slots[padded(width) + c] and so on, c < C. A third is in
// the State of P, whose end adds it behind Q.
template <int Sums = 2, class P>
SENTEI_INLINE void reduce_rows(const View& v, double* slots, const P& p) {
  const std::int64_t n = reduce_slots(v), wide = padded(v.width);
  parallel_for(n, [&](std::int64_t slot) {
    double *S = slots + slot * Sums * wide, *Q = S + wide;
    for (std::int64_t j = 0; j < Sums * wide; ++j) S[j] = 0;
    const Range part = even_part(v.rows, n, slot);
    for (std::int64_t r = part.begin; r < part.end; r += kBlockRows)
      reduce_columns(p, r * v.width, v.width, imin(kBlockRows, part.end - r), v.width, S, Q);
    if (slot == n - 1 && v.rest) reduce_columns(p, v.rows * v.width, v.width, 1, v.rest, S, Q);
    stream_fence();  // what a reduction stores on its way is read by other threads next
  });
  const std::int64_t C = v.width / v.copies;
  for (std::int64_t slot = 1; slot < n; ++slot)
    for (std::int64_t j = 0; j < Sums * wide; ++j) slots[j] += slots[slot * Sums * wide + j];
  for (std::int64_t k = 1; k < v.copies; ++k)
    for (int i = 0; i < Sums; ++i)
      for (std::int64_t c = 0; c < C; ++c) slots[i * wide + c] += slots[i * wide + k * C + c];
}

}  // namespace sentei::cpu::SENTEI_ISA
