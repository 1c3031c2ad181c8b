// Linear layers: y = x w^T + bias, dx = dy w, dw = dy^T x.
// A panel of 64 columns of the second factor is packed into the L2 cache, rows of the first run
// through dot_tile; dw is a sum of outer products over n, in chunks of 512. With few rows w is read
// as it lies.
#include "core/parallel.hpp"
#include "cpu/bf16_nearest.hpp"
#include "cpu/gemm.hpp"
#include "cpu/linear.hpp"

namespace sentei::cpu::SENTEI_ISA {
namespace {

using std::int64_t;

// m rows of a tile, as dot_rows; rows that a short tile lacks go to `spare`, so that a sum may go
// on from y in any tile. spare: kTileRows<V> rows of V vectors.
template <int V>
SENTEI_INLINE void tile_rows(int m, const float** xp, const Tap* tap, const float* w,
                             const float* init, float** yp, int last, float low, float* spare) {
  constexpr int P = kTileRows<V>;
  for (int p = m; p < P; ++p) xp[p] = xp[m - 1], yp[p] = spare + p * V * kLanes;
  if (m <= P / 2)
    dot_tile<P / 2, V>(xp, tap, 1, w, init, yp, last, low);
  else
    dot_tile<P, V>(xp, tap, 1, w, init, yp, last, low);
}

// out (N, columns) = in (N, depth) w, where pack(k, v, i, n, last, dst) of `weights` writes rows
// [i, i + n) of w for the V vectors of columns at k. `init` holds a padded row to start from.
template <class Weights>
void product(int64_t N, int64_t depth, int64_t columns, const float* in, const Weights& weights,
             const float* init, bool relu, float* out, const LinearSplit& split, float* scratch) {
  const int64_t tasks = split.panels * split.bands;
  const int64_t parts = imax(1, ceil_div(depth, kLinearDepth));
  parallel_for(split.slots, [&](int64_t slot) {
    const Range mine = even_part(tasks, split.slots, slot);
    float* panel_scratch = scratch + slot * split.scratch_floats;
    float spare[kTileRows<1> * kMaxVectors * kLanes] = {};
    for (int64_t task = mine.begin; task < mine.end; ++task) {
      const int64_t panel = task / split.bands;
      const Range rows = even_part(N, split.bands, task % split.bands);
      for (int64_t part = 0; part < parts; ++part) {
        const Range range = even_part(depth, parts, part);
        const Tap tap = {0, 0, range.end - range.begin};
        const float low = relu && part == parts - 1 ? 0.0f : -__builtin_inff();
        for_blocks(panel * kPanel, imin(columns, (panel + 1) * kPanel),
                   [&](int64_t k, auto v, int last) {
                     constexpr int V = decltype(v)::value, P = kTileRows<V>;
                     weights.pack(k, v, range.begin, tap.n, last, panel_scratch);
                     for (int64_t n = rows.begin; n < rows.end; n += P) {
                       const int m = static_cast<int>(imin(P, rows.end - n));
                       const float* xp[P];
                       float* yp[P];
                       for (int j = 0; j < m; ++j) {
                         xp[j] = in + (n + j) * depth + range.begin;
                         yp[j] = out + (n + j) * columns + k;
                       }
                       tile_rows<V>(m, xp, &tap, panel_scratch, part ? nullptr : init + k, yp, last,
                                    low, spare);
                     }
                   });
      }
    }
  });
}

// Rows of w, each as it lies or, lazily kept, w[o] + c[o] v[o], added up where it is read.
struct PlainRows {
  const float* w;
  vf at(int64_t r, int64_t I, int64_t i, int n) const { return load_n(w + r * I + i, n); }
  PlainRows from(int64_t o, int64_t I) const { return {w + o * I}; }
};
struct LazyRows {
  const float *w, *v, *c;
  vf at(int64_t r, int64_t I, int64_t i, int n) const {
    return fma(splat(c[r]), load_n(v + r * I + i, n), load_n(w + r * I + i, n));
  }
  LazyRows from(int64_t o, int64_t I) const { return {w + o * I, v + o * I, c + o}; }
};
struct RoundedRows {  // to bfloat16
  const float* w;
  vf at(int64_t r, int64_t I, int64_t i, int n) const { return nearest(load_n(w + r * I + i, n)); }
  RoundedRows from(int64_t o, int64_t I) const { return {w + o * I}; }
};

// Columns of the product are rows of w (O, I): packed transposed, as pack_transposed.
template <class Rows>
struct ByOutput {
  Rows rows;
  int64_t I;
  template <class V>
  void pack(int64_t o, V, int64_t i, int64_t n, int last, float* dst) const {
    constexpr int64_t L = V::value * kLanes;
    const int64_t m = L - kLanes + last;
    for (int64_t j = 0; j < L; j += kLanes)
      for (int64_t t = 0; t < n; t += kLanes) {
        const int cols = static_cast<int>(imin(kLanes, n - t));
        vf r[kLanes];
#pragma GCC unroll 16
        for (int k = 0; k < kLanes; ++k)
          r[k] = j + k < m ? rows.at(o + j + k, I, i + t, cols) : vf{};
        transpose(r);
#pragma GCC unroll 16
        for (int k = 0; k < kLanes; ++k)
          if (k < cols) store(dst + (t + k) * L + j, r[k]);
      }
  }
};

// Columns of the product are columns of w: packed as pack_vectors.
template <class Rows>
struct ByInput {
  Rows rows;
  int64_t I;
  template <class V>
  void pack(int64_t i, V, int64_t o, int64_t n, int last, float* dst) const {
    for (int64_t k = 0; k < n; ++k, dst += V::value * kLanes)
#pragma GCC unroll 4
      for (int j = 0; j < V::value; ++j)
        store(dst + j * kLanes,
              rows.at(o + k, I, i + j * kLanes, j == V::value - 1 ? last : kLanes));
  }
};

const float* padded_bias(int64_t O, const float* bias, float* workspace) {
  for (int64_t o = 0; o < padded(O); ++o) workspace[o] = bias && o < O ? bias[o] : 0.0f;
  return workspace;
}

void forward(int64_t N, int64_t I, int64_t O, const float* x, const float* w, const float* bias,
             bool relu, float* y, LinearSplit split, float* workspace) {
  product(N, I, O, x, ByOutput<PlainRows>{{w}, I}, padded_bias(O, bias, workspace), relu, y, split,
          workspace + padded(O));
}

void forward_lazy(int64_t N, int64_t I, int64_t O, const float* x, const float* w, const float* v,
                  const float* c, const float* bias, bool relu, float* y, LinearSplit split,
                  float* workspace) {
  product(N, I, O, x, ByOutput<LazyRows>{{w, v, c}, I}, padded_bias(O, bias, workspace), relu, y,
          split, workspace + padded(O));
}

void backward_input(int64_t N, int64_t I, int64_t O, const float* dy, const float* w, float* dx,
                    LinearSplit split, float* workspace) {
  product(N, O, I, dy, ByInput<PlainRows>{{w}, I}, padded_bias(I, nullptr, workspace), false, dx,
          split, workspace + padded(I));
}

void backward_input_lazy(int64_t N, int64_t I, int64_t O, const float* dy, const float* w,
                         const float* v, const float* c, float* dx, LinearSplit split,
                         float* workspace) {
  product(N, O, I, dy, ByInput<LazyRows>{{w, v, c}, I}, padded_bias(I, nullptr, workspace), false,
          dx, split, workspace + padded(I));
}

// Dot products of P rows of x with V rows of w, lanes along i.
template <int P, int V, class Rows>
SENTEI_NOINLINE void few_tile(int64_t I, int64_t O, const float* x, const Rows w, const float* bias,
                              float low, float* y) {
  vf acc[P][V];
#pragma GCC unroll 4
  for (int p = 0; p < P; ++p)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) acc[p][v] = vf{};
  for (int64_t i = 0; i < I; i += kLanes) {
    const int n = static_cast<int>(imin(kLanes, I - i));
    vf wv[V];
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) wv[v] = w.at(v, I, i, n);
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p) {
      const vf xv = load_n(x + p * I + i, n);
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) acc[p][v] = fma(xv, wv[v], acc[p][v]);
    }
  }
#pragma GCC unroll 4
  for (int p = 0; p < P; ++p)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      const float r = lane_sum(acc[p][v]) + (bias ? bias[v] : 0.0f);
      y[p * O + v] = r < low ? low : r;  // NaN passes through
    }
}

template <int V, class Rows>
void few_rows(int64_t N, int64_t I, int64_t O, const float* x, const Rows w, const float* bias,
              float low, float* y) {
  int64_t n = 0;
  for (; n + 4 <= N; n += 4) few_tile<4, V>(I, O, x + n * I, w, bias, low, y + n * O);
  for (; n + 2 <= N; n += 2) few_tile<2, V>(I, O, x + n * I, w, bias, low, y + n * O);
  for (; n < N; ++n) few_tile<1, V>(I, O, x + n * I, w, bias, low, y + n * O);
}

template <class Rows>
void few(int64_t N, int64_t I, int64_t O, const float* x, const Rows w, const float* bias,
         bool relu, float* y) {
  if (N == 0) return;
  constexpr int V = kRegisters == 32 ? 4 : 2;
  const float low = relu ? 0.0f : -__builtin_inff();
  const int64_t group = imax(V, imin(64, 65536 / imax(1, N * I) / V * V));
  parallel_for(ceil_div(O, group), [&](int64_t task) {
    const int64_t end = imin(O, (task + 1) * group);
    int64_t o = task * group;
    for (; o + V <= end; o += V)
      few_rows<V>(N, I, O, x, w.from(o, I), bias ? bias + o : nullptr, low, y + o);
    for (; o < end; ++o)
      few_rows<1>(N, I, O, x, w.from(o, I), bias ? bias + o : nullptr, low, y + o);
  });
}

void forward_few(int64_t N, int64_t I, int64_t O, const float* x, const float* w, const float* bias,
                 bool relu, float* y) {
  few(N, I, O, x, PlainRows{w}, bias, relu, y);
}

void forward_few_rounded(int64_t N, int64_t I, int64_t O, const float* x, const float* w,
                         const float* bias, bool relu, float* y) {
  few(N, I, O, x, RoundedRows{w}, bias, relu, y);
}

void forward_few_lazy(int64_t N, int64_t I, int64_t O, const float* x, const float* w,
                      const float* v, const float* c, const float* bias, bool relu, float* y) {
  few(N, I, O, x, LazyRows{w, v, c}, bias, relu, y);
}

void backward_weight(int64_t N, int64_t I, int64_t O, const float* x, const float* dy, float* dw,
                     const std::int32_t* rows, int64_t row_count, LinearSplit split,
                     float* workspace) {
  // dy as blocks of P columns: [block][n][P], only the rows of dw that are wanted.
  constexpr int P = kTileRows<kMaxVectors>;
  float *scratch = workspace, *dy_packed = workspace + split.slots * split.scratch_floats;
  const int64_t blocks = ceil_div(row_count, P), pack_tasks = ceil_div(N, 64);
  parallel_for(pack_tasks, [&](int64_t task) {
    const Range n = even_part(N, pack_tasks, task);
    if (!rows) {
      pack_rows<P>(dy + n.begin * O, O, n.end - n.begin, O, dy_packed + n.begin * P, N * P);
      return;
    }
    for (int64_t i = n.begin; i < n.end; ++i)
      for (int64_t j = 0; j < row_count; ++j)
        dy_packed[(j / P * N + i) * P + j % P] = dy[i * O + rows[j]];
  });
  const int64_t tasks = split.panels * split.bands, chunks = imax(1, ceil_div(N, kLinearChunk));
  parallel_for(split.slots, [&](int64_t slot) {
    const Range mine = even_part(tasks, split.slots, slot);
    float* x_packed = scratch + slot * split.scratch_floats;
    for (int64_t task = mine.begin; task < mine.end; ++task) {
      const int64_t panel = task / split.bands;
      const Range band = even_part(blocks, split.bands, task % split.bands);
      for (int64_t c = 0; c < chunks; ++c) {
        const Range n = even_part(N, chunks, c);
        const int64_t count = n.end - n.begin;
        for_blocks(panel * kPanel, imin(I, (panel + 1) * kPanel), [&](int64_t i, auto v, int last) {
          constexpr int V = decltype(v)::value;
          pack_vectors<V>(x + n.begin * I + i, I, count, last, x_packed);
          for (int64_t b = band.begin; b < band.end; ++b)
            outer_pick<V, P>(static_cast<int>(imin(P, row_count - b * P)),
                             dy_packed + (b * N + n.begin) * P, x_packed, ByStride{P, V * kLanes},
                             count, dw + b * P * I + i, I, last, c > 0);
        });
      }
    }
  });
}

}  // namespace

extern const LinearTierKernels linear_tier_kernels;
const LinearTierKernels linear_tier_kernels = {
    forward,         forward_few,  forward_few_rounded, backward_input,
    backward_weight, forward_lazy, forward_few_lazy,    backward_input_lazy};

}  // namespace sentei::cpu::SENTEI_ISA
