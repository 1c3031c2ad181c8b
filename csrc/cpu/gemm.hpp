// The micro-kernels behind convolution and linear layers: a block of P rows by V vectors of the
// result stays in registers while the sum runs.
//   dot_tile    y[p][:] = init + sum_i x[p][i] w[i][:]      rows of x anywhere, w packed
//   outer_tile  o[p][:] += sum_i a[i][p] b[i][:]            weight gradients
// Every loop over the accumulators is unrolled by pragma, the first and last too: only then does
// the compiler keep them in registers.
#pragma once
#include "cpu/gemm_types.hpp"
#include "cpu/simd.hpp"

namespace sentei::cpu::SENTEI_ISA {
namespace {

constexpr int kMaxVectors = kRegisters == 32 ? 4 : 2;

// Rows of a tile: enough accumulators to hide the latency of the multiply-add (8 to 10 in flight),
// room for V vectors and a broadcast, and no more row pointers than there are integer registers.
template <int V>
constexpr int kTileRows = kRegisters == 32 ? (V == 4   ? 6
                                              : V == 3 ? 8
                                                       : 12)
                                           : (V == 2 ? 6 : 12);

// xp, yp: P pointers each. init: V vectors to start from, or null to start from y. The last vector
// of y has `last` lanes. y = max(low, sum), so low = 0 is a ReLU and low = -inf is none; NaN passes
// through.
template <int P, int V>
SENTEI_NOINLINE void dot_tile(const float* const* xp, const Tap* taps, std::int64_t tap_count,
                              const float* w0, const float* init, float* const* yp, int last,
                              float low) {
  vf acc[P][V];
  if (init) {
#pragma GCC unroll 16
    for (int p = 0; p < P; ++p)
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) acc[p][v] = load(init + kLanes * v);
  } else {
#pragma GCC unroll 16
    for (int p = 0; p < P; ++p)
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v)
        acc[p][v] = v == V - 1 ? load_n(yp[p] + kLanes * v, last) : load(yp[p] + kLanes * v);
  }
  for (std::int64_t t = 0; t < tap_count; ++t) {
    const float* w = w0 + taps[t].w * (V * kLanes);
    const float* x[P];
    const std::int64_t n = taps[t].n;
    // One negative counter indexes all rows: an increment and a jump per step.
#pragma GCC unroll 16
    for (int p = 0; p < P; ++p) x[p] = xp[p] + taps[t].x + n;
    for (std::int64_t i = -n; i; ++i) {
      vf wv[V];
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) wv[v] = load(w + kLanes * v);
      w += V * kLanes;
#pragma GCC unroll 16
      for (int p = 0; p < P; ++p) {
        const vf b = splat(x[p][i]);
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v) acc[p][v] = fma(b, wv[v], acc[p][v]);
      }
    }
  }
  const vf floor = splat(low);
#pragma GCC unroll 16
  for (int p = 0; p < P; ++p)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      const vf r = vmax(floor, acc[p][v]);
      if (v == V - 1) {
        store_n(yp[p] + kLanes * v, r, last);
      } else {
        store(yp[p] + kLanes * v, r);
      }
    }
}

// m <= kTileRows<V> rows. A short tile computes its last row more than once instead of needing a
// kernel for every m; xp and yp have room for kTileRows<V> pointers.
template <int V>
SENTEI_INLINE void dot_rows(int m, const float** xp, const Tap* taps, std::int64_t tap_count,
                            const float* w, const float* init, float** yp, int last, float low) {
  constexpr int P = kTileRows<V>;
  constexpr int sizes[4] = {P, P / 2, P / 4 > 1 ? P / 4 : 2, 1};
  int size = sizes[0];
  for (int i = 1; i < 4; ++i)
    if (m <= sizes[i]) size = sizes[i];
  // Several segments add to y in turn: a row computed twice would be added twice.
  if (!init && m < size) {
    for (int p = 0; p < m; ++p) dot_tile<1, V>(xp + p, taps, tap_count, w, init, yp + p, last, low);
    return;
  }
  for (int p = m; p < size; ++p) xp[p] = xp[m - 1], yp[p] = yp[m - 1];
  if (size == sizes[0]) {
    dot_tile<sizes[0], V>(xp, taps, tap_count, w, init, yp, last, low);
  } else if (size == sizes[1]) {
    dot_tile<sizes[1], V>(xp, taps, tap_count, w, init, yp, last, low);
  } else if (size == sizes[2]) {
    dot_tile<sizes[2], V>(xp, taps, tap_count, w, init, yp, last, low);
  } else {
    dot_tile<1, V>(xp, taps, tap_count, w, init, yp, last, low);
  }
}

// Calls f(k, vectors<V>, last) for every block of at most kMaxVectors vectors of the columns
// [begin, end).
template <int V>
struct Vectors {
  static constexpr int value = V;
};
template <class F>
SENTEI_INLINE void for_blocks(std::int64_t begin, std::int64_t end, const F& f) {
  for (std::int64_t k = begin; k < end;) {
    const int vectors = static_cast<int>(imin(kMaxVectors, ceil_div(end - k, kLanes)));
    const int last = static_cast<int>(imin(kLanes, end - k - (vectors - 1) * kLanes));
    if (vectors == 1) f(k, Vectors<1>(), last);
    if (vectors == 2) f(k, Vectors<2>(), last);
    if constexpr (kMaxVectors == 4) {
      if (vectors == 3) f(k, Vectors<3>(), last);
      if (vectors == 4) f(k, Vectors<4>(), last);
    }
    k += vectors * kLanes;
  }
}

// Where term i of a sum of outer products lies.
struct ByList {
  const Offset* list;
  std::int64_t a(std::int64_t i) const { return list[i].a; }
  std::int64_t b(std::int64_t i) const { return list[i].b; }
};
// Packed: A floats per pixel against B floats per pixel.
template <int A, int B>
struct ByPixel {
  const Offset* list;
  std::int64_t a(std::int64_t i) const { return static_cast<std::int64_t>(list[i].a) * A; }
  std::int64_t b(std::int64_t i) const { return static_cast<std::int64_t>(list[i].b) * B; }
};
struct ByStride {
  std::int64_t lda, ldb;
  std::int64_t a(std::int64_t i) const { return i * lda; }
  std::int64_t b(std::int64_t i) const { return i * ldb; }
};

// The sum starts from zero and is added to (or stored in) `out` at the end: sums of chunks, not one
// long running sum, which would lose digits over 10^5 pixels.
template <int P, int V, class At>
SENTEI_NOINLINE void outer_tile(const float* a, const float* b, At at, std::int64_t n, float* out,
                                std::int64_t ldo, int last, bool add) {
  vf acc[P][V];
#pragma GCC unroll 16
  for (int p = 0; p < P; ++p)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) acc[p][v] = vf{};
#pragma GCC unroll 2
  for (std::int64_t i = 0; i < n; ++i) {
    const float* ai = a + at.a(i);
    const float* bi = b + at.b(i);
    vf bv[V];
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v)
      bv[v] = v == V - 1 ? load_n(bi + kLanes * v, last) : load(bi + kLanes * v);
#pragma GCC unroll 16
    for (int p = 0; p < P; ++p) {
      const vf s = splat(ai[p]);
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) acc[p][v] = fma(s, bv[v], acc[p][v]);
    }
  }
  if (add) {
#pragma GCC unroll 16
    for (int p = 0; p < P; ++p)
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) {
        float* o = out + p * ldo + kLanes * v;
        acc[p][v] += v == V - 1 ? load_n(o, last) : load(o);
      }
  }
#pragma GCC unroll 16
  for (int p = 0; p < P; ++p)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      float* o = out + p * ldo + kLanes * v;
      if (v == V - 1) {
        store_n(o, acc[p][v], last);
      } else {
        store(o, acc[p][v]);
      }
    }
}

// m <= M rows.
template <int V, int M, class At>
SENTEI_INLINE void outer_pick(int m, const float* a, const float* b, At at, std::int64_t n,
                              float* out, std::int64_t ldo, int last, bool add) {
  if (m == M) return outer_tile<M, V>(a, b, at, n, out, ldo, last, add);
  if constexpr (M > 1) outer_pick<V, M - 1>(m, a, b, at, n, out, ldo, last, add);
}

// out[j][:] for j in [0, rows), cut into even tiles of at most kTileRows<V>.
template <int V, class At>
SENTEI_NOINLINE void outer_rows(std::int64_t rows, const float* a, const float* b, At at,
                                std::int64_t n, float* out, std::int64_t ldo, int last, bool add) {
  const std::int64_t parts = ceil_div(rows, kTileRows<V>);
  for (std::int64_t j = 0; j < parts; ++j) {
    const std::int64_t begin = rows * j / parts, m = rows * (j + 1) / parts - begin;
    outer_pick<V, kTileRows<V>>(static_cast<int>(m), a + begin, b, at, n, out + begin * ldo, ldo,
                                last, add);
  }
}

// dst[i][0 .. L) = src[j][i] for j < m, zero for m <= j < L: a panel of a matrix with rows of
// length n <= lds, transposed. L is a multiple of kLanes.
SENTEI_INLINE void pack_transposed(const float* src, std::int64_t lds, std::int64_t m,
                                   std::int64_t n, float* dst, std::int64_t L) {
  for (std::int64_t j = 0; j < L; j += kLanes)
    for (std::int64_t i = 0; i < n; i += kLanes) {
      const int cols = static_cast<int>(imin(kLanes, n - i));
      vf r[kLanes];
#pragma GCC unroll 16
      for (int k = 0; k < kLanes; ++k)
        r[k] = j + k < m ? load_n(src + (j + k) * lds + i, cols) : vf{};
      transpose(r);
#pragma GCC unroll 16
      for (int k = 0; k < kLanes; ++k)
        if (k < cols) store(dst + (i + k) * L + j, r[k]);
    }
}

// n floats, n <= 12: with a constant n the mask is constant too.
SENTEI_INLINE void copy_few(const float* src, float* dst, int n) {
#pragma GCC unroll 3
  for (int j = 0; j < n; j += kLanes) {
    const int lanes = n - j < kLanes ? n - j : kLanes;
    store_n(dst + j, load_n(src + j, lanes), lanes);
  }
}

// dst[b * block + i P + j] = src[i lds + b P + j] for `columns` columns of n rows.
template <int P>
SENTEI_NOINLINE void pack_rows(const float* src, std::int64_t lds, std::int64_t n,
                               std::int64_t columns, float* dst, std::int64_t block) {
  const std::int64_t full = columns / P;
  const int rest = static_cast<int>(columns % P);
  for (std::int64_t i = 0; i < n; ++i, src += lds, dst += P) {
    const float* s = src;
    float* d = dst;
    for (std::int64_t b = 0; b < full; ++b, s += P, d += block) copy_few(s, d, P);
    if (rest) copy_few(s, d, rest);
  }
}

// dst[i][0 .. V kLanes) = src[i][0 .. ), `last` lanes of the last vector, zero behind.
template <int V>
SENTEI_INLINE void pack_vectors(const float* src, std::int64_t lds, std::int64_t n, int last,
                                float* dst) {
  for (std::int64_t i = 0; i < n; ++i, src += lds, dst += V * kLanes)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v)
      store(dst + v * kLanes, load_n(src + v * kLanes, v == V - 1 ? last : kLanes));
}

}  // namespace
}  // namespace sentei::cpu::SENTEI_ISA
