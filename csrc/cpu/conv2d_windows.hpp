// Weight gradient where a filter row covers few floats of x (first layers): vectors along k, x is
// broadcast from rows copied with their padding, so every pixel has whole windows. A tile holds A
// runs of B floats of the window, neighbours in x, by V vectors of k.
#pragma once
#include "cpu/conv2d_plan.hpp"
#include "cpu/simd.hpp"

namespace sentei::cpu::SENTEI_ISA {
namespace {

constexpr int kWindowSums = kRegisters == 32 ? 27 : 12;  // accumulators of a tile
constexpr int kWindowRun = 9;                            // most floats of a run in a tile

// Rows of pixels that a tile sums over. x: floats from one pixel, and one row of them, to the next.
struct WindowPixels {
  std::int64_t rows, columns, x_pixel, x_row, K;
};

template <int A, int B, int V>
SENTEI_NOINLINE void window_tile(const WindowPixels& px, const float* const* x0, const float* dy,
                                 int last, float* const* out, std::int64_t ldo) {
  vf acc[A * B][V];
#pragma GCC unroll 32
  for (int p = 0; p < A * B; ++p)
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) acc[p][v] = vf{};
  const float* x[A];
#pragma GCC unroll 4
  for (int a = 0; a < A; ++a) x[a] = x0[a];
  const std::int64_t back = px.x_row - px.columns * px.x_pixel;
  for (std::int64_t i = 0; i < px.rows; ++i) {
    for (std::int64_t q = 0; q < px.columns; ++q) {
      vf d[V];
#pragma GCC unroll 2
      for (int v = 0; v < V; ++v)
        d[v] = v == V - 1 ? load_n(dy + kLanes * v, last) : load(dy + kLanes * v);
#pragma GCC unroll 4
      for (int a = 0; a < A; ++a)
#pragma GCC unroll 16
        for (int b = 0; b < B; ++b) {
          const vf s = splat(x[a][b]);
#pragma GCC unroll 2
          for (int v = 0; v < V; ++v) acc[a * B + b][v] = fma(s, d[v], acc[a * B + b][v]);
        }
      dy += px.K;
#pragma GCC unroll 4
      for (int a = 0; a < A; ++a) x[a] += px.x_pixel;
    }
#pragma GCC unroll 4
    for (int a = 0; a < A; ++a) x[a] += back;
  }
#pragma GCC unroll 4
  for (int a = 0; a < A; ++a)
#pragma GCC unroll 16
    for (int b = 0; b < B; ++b)
#pragma GCC unroll 2
      for (int v = 0; v < V; ++v) {
        float* o = out[a] + b * ldo + kLanes * v;
        store(o, load(o) + acc[a * B + b][v]);
      }
}

template <int A, int V, int B = kWindowRun>
SENTEI_INLINE void window_pick(int run, const WindowPixels& px, const float* const* x,
                               const float* dy, int last, float* const* out, std::int64_t ldo) {
  if constexpr (A * B * V <= kWindowSums)
    if (run == B) return window_tile<A, B, V>(px, x, dy, last, out, ldo);
  if constexpr (B > 1) window_pick<A, V, B - 1>(run, px, x, dy, last, out, ldo);
}

// Part of one image: `px.rows` output rows, their rows of x copied to `rows`. Windows are `runs`
// runs of `run` floats each.
struct WindowRuns {
  const Conv2dGeometry* g;
  std::int64_t x_row;    // floats of a copied row
  std::int64_t per_row;  // runs per row of the filter: 1 where the taps are neighbours, or S
  std::int64_t count, run;
  std::int64_t at(std::int64_t i) const {
    return i / per_row * g->dilation_h * x_row + i % per_row * g->dilation_w * g->C;
  }
};

template <int V>
SENTEI_NOINLINE void add_runs(const WindowRuns& w, const WindowPixels& px, const float* rows,
                              const float* dy, int last, float* out, std::int64_t ldo) {
  const std::int64_t parts = ceil_div(w.run, imin(kWindowRun, kWindowSums / V));
  for (std::int64_t part = 0; part < parts; ++part) {
    const std::int64_t b = w.run * part / parts;
    const int run = static_cast<int>(w.run * (part + 1) / parts - b);
    // Three runs in a tile where they fit, cut evenly.
    const std::int64_t most = imax(1, imin(3, kWindowSums / (V * run)));
    const std::int64_t tiles = ceil_div(w.count, most);
    for (std::int64_t t = 0; t < tiles; ++t) {
      const std::int64_t begin = w.count * t / tiles, n = w.count * (t + 1) / tiles - begin;
      const float* x[3];
      float* o[3];
      for (std::int64_t a = 0; a < n; ++a) {
        x[a] = rows + w.at(begin + a) + b;
        o[a] = out + ((begin + a) * w.run + b) * ldo;
      }
      if (n == 1) window_pick<1, V>(run, px, x, dy, last, o, ldo);
      if (n == 2) window_pick<2, V>(run, px, x, dy, last, o, ldo);
      if (n == 3) window_pick<3, V>(run, px, x, dy, last, o, ldo);
    }
  }
}

// Rows of x that the output rows [p0, p1) see, with their padding.
SENTEI_NOINLINE void copy_window_rows(const Conv2dGeometry& g, const float* image, std::int64_t p0,
                                      std::int64_t p1, float* rows, std::int64_t x_row) {
  const std::int64_t count = (p1 - p0 - 1) * g.stride_h + (g.R - 1) * g.dilation_h + 1;
  const std::int64_t left = g.padding_w * g.C, n = g.W * g.C;
  for (std::int64_t i = 0; i < count; ++i, rows += x_row) {
    const std::int64_t h = p0 * g.stride_h - g.padding_h + i;
    const bool inside = h >= 0 && h < g.H;
    const float* src = image + (inside ? h : 0) * n;
    const std::int64_t begin = inside ? left : x_row, end = inside ? left + n : x_row;
    for (std::int64_t j = 0; j < begin; ++j) rows[j] = 0.0f;
    if (inside) std::memcpy(rows + left, src, static_cast<std::size_t>(n) * sizeof(float));
    for (std::int64_t j = end; j < x_row; ++j) rows[j] = 0.0f;
  }
}

// Adds the output rows [begin, end) of the batch for the filters of one panel.
SENTEI_NOINLINE void add_windows(const Conv2dWeightArgs& a, std::int64_t begin, std::int64_t end,
                                 std::int64_t panel, float* out, float* scratch) {
  const Conv2dGeometry& g = *a.g;
  const std::int64_t x_row = a.split.window_floats, ldo = padded(g.K);
  const bool merged = g.dilation_w == 1;
  const WindowRuns w{&g, x_row, merged ? 1 : g.S, merged ? g.R : g.R * g.S,
                     merged ? g.S * g.C : g.C};
  for (std::int64_t row = begin; row < end;) {
    const std::int64_t n = row / g.P, p0 = row % g.P;
    const std::int64_t p1 = imin(imin(g.P, p0 + end - row), p0 + a.split.window_rows);
    copy_window_rows(g, a.x + n * g.H * g.W * g.C, p0, p1, scratch, x_row);
    const WindowPixels px{p1 - p0, g.Q, g.stride_w * g.C, g.stride_h * x_row, g.K};
    const float* dy = a.dy + row * g.Q * g.K;
    const std::int64_t k_end = imin(g.K, (panel + 1) * kPanel);
    for (std::int64_t k = panel * kPanel; k < k_end;) {
      const std::int64_t left = k_end - k;
      if (left > kLanes) {
        const int last = static_cast<int>(imin(kLanes, left - kLanes));
        add_runs<2>(w, px, scratch, dy + k, last, out + k, ldo);
      } else {
        add_runs<1>(w, px, scratch, dy + k, static_cast<int>(left), out + k, ldo);
      }
      k += left > kLanes ? 2 * kLanes : kLanes;
    }
    row += p1 - p0;
  }
}

}  // namespace
}  // namespace sentei::cpu::SENTEI_ISA
