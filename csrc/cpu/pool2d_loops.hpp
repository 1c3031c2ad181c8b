// Loops that pooling kernels share: windows clipped to the image, the windows over a pixel, rows in
// parallel, vectors over channels.
#pragma once
#include "cpu/channels.hpp"
#include "kernels/pool2d.hpp"

namespace sentei::cpu::SENTEI_ISA {

// Taps [begin, end) of window `i` lie inside the image; tap t is at start + t.
struct Window {
  std::int64_t start, begin, end;
};
SENTEI_INLINE Window window(std::int64_t i, std::int64_t stride, std::int64_t padding,
                            std::int64_t kernel, std::int64_t size) {
  const std::int64_t start = i * stride - padding;
  return {start, imax(0, -start), imin(kernel, size - start)};
}

// Windows [begin, end) that hold the element at `i`.
struct Cover {
  std::int64_t begin, end;
};
SENTEI_INLINE Cover cover(std::int64_t i, std::int64_t stride, std::int64_t padding,
                          std::int64_t kernel, std::int64_t windows) {
  const std::int64_t at = i + padding;
  return {at < kernel ? 0 : (at - kernel) / stride + 1, imin(at / stride + 1, windows)};
}

// The same for i + 1, without a division.
SENTEI_INLINE void advance(Cover& c, std::int64_t i, std::int64_t stride, std::int64_t padding,
                           std::int64_t kernel, std::int64_t windows) {
  const std::int64_t at = i + 1 + padding;
  while (c.begin * stride + kernel <= at) ++c.begin;
  while (c.end < windows && c.end * stride <= at) ++c.end;
}

// Vectors over C channels; the last one overlaps the one before rather than be masked, so f must
// write what it writes from its inputs alone.
template <class Whole = Full, class F>
SENTEI_INLINE void over_channels(std::int64_t C, const F& f) {
  std::int64_t c = 0;
#pragma GCC unroll 2
  for (; c + kLanes <= C; c += kLanes) f(c, Whole{});
  if (c == C) return;
  if (C > kLanes)
    f(C - kLanes, Full{});
  else
    f(0, Part{static_cast<int>(C)});
}

// f(row) for every row, several rows a task when a row is short.
template <class F>
SENTEI_INLINE void over_rows(std::int64_t rows, std::int64_t elements, const F& f) {
  const std::int64_t per = imax(1, kMapBlock / imax(1, elements));
  parallel_for(ceil_div(rows, per), [&](std::int64_t task) {
    for (std::int64_t r = task * per; r < imin(rows, (task + 1) * per); ++r) f(r);
    stream_fence();
  });
}

}  // namespace sentei::cpu::SENTEI_ISA
