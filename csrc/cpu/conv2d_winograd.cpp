// Winograd convolution, forward and input gradient alike: chunks of tiles go through the whole
// chain, input transform, products, output transform, while they stay in the L2 cache.
//   V[e][tile][c] = B^T d B,  M[e][tile][k] = sum_c V[e][tile][c] U[e][c][k],  y = A^T M A + bias
// U lies as [block of k][e][c][k in block].
#include "cpu/conv2d_winograd.hpp"

#include "core/parallel.hpp"
#include "cpu/gemm.hpp"
#include "cpu/winograd.hpp"

namespace sentei::cpu::SENTEI_ISA {
namespace {

using std::int64_t;

// V and M lie as [block of kBlock tiles][segment of kPad channels][e][tile][channel in segment]: in
// a segment all distances are constants, and few pages are written at a time.
constexpr int kBlock = static_cast<int>(kWinogradBlock);
constexpr int64_t kRuns = 96;
constexpr int64_t kFarFloats = 1 << 18;
template <int E>
constexpr int64_t kSegment = E * E * kBlock * kPad;

// Column k of a block of V or M.
template <int E>
SENTEI_INLINE constexpr int64_t column(int64_t k) {
  return k / kPad * kSegment<E> + k % kPad;
}

// y[p][:] = sum_i x[p][i] w[i][:] for P tiles and whole vectors of y. `ahead`: memory to fetch from
// the L3 cache meanwhile, a cache line per step.
template <int P, int V, int E, bool Ahead>
SENTEI_NOINLINE void product_tile(const float* x, const float* w, int64_t n, float* y,
                                  const float* ahead) {
  vf acc[P][V];
#pragma GCC unroll 16
  for (int p = 0; p < P; ++p)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) acc[p][v] = vf{};
  const auto step = [&](const float* xi) __attribute__((always_inline)) {
    vf wv[V];
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) wv[v] = load(w + kLanes * v);
    w += V * kLanes;
    if constexpr (Ahead) {
      __builtin_prefetch(ahead, 0, 2);
      ahead += 16;
    }
#pragma GCC unroll 16
    for (int p = 0; p < P; ++p) {
      const vf b = splat(xi[p * kPad]);
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) acc[p][v] = fma(b, wv[v], acc[p][v]);
    }
  };
  for (; n >= kPad; n -= kPad, x += kSegment<E>)
#pragma GCC unroll 4
    for (int i = 0; i < kPad; ++i) step(x + i);
  for (int64_t i = 0; i < n; ++i) step(x + i);
#pragma GCC unroll 16
  for (int p = 0; p < P; ++p)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) store(y + column<E>(v * kLanes) + p * kPad, acc[p][v]);
}

template <int P, int V, int E>
SENTEI_INLINE void product_rows(int64_t& i, int64_t rows, const float* x, const float* w, int64_t n,
                                float* y, const float*& ahead, const float* end) {
  for (; i + P <= rows; i += P) {
    if (ahead < end) {
      product_tile<P, V, E, true>(x + i * kPad, w, n, y + i * kPad, ahead);
      ahead += n * 16;
    } else {
      product_tile<P, V, E, false>(x + i * kPad, w, n, y + i * kPad, nullptr);
    }
  }
}

// One vector of A^T M A + bias; `high` x `wide` of the m x m outputs lie inside.
template <int M>
SENTEI_INLINE void output_vector(const float* m, vf bias, vf low, float* y, int64_t row,
                                 int64_t pixel, int lanes, int high, int wide) {
  constexpr int E = M + 2;
  vf t[M * E];
#pragma GCC unroll 6
  for (int j = 0; j < E; ++j) {
    vf s[E];
#pragma GCC unroll 6
    for (int i = 0; i < E; ++i) s[i] = load(m + (i * E + j) * (kBlock * kPad));
    winograd_output<M>(s, 1, t + j, E);
  }
#pragma GCC unroll 4
  for (int i = 0; i < M; ++i) {
    if (i >= high) break;
    vf o[M];
    winograd_output<M>(t + i * E, 1, o, 1);
#pragma GCC unroll 4
    for (int j = 0; j < M; ++j)
      if (j < wide) store_n(y + i * row + j * pixel, vmax(low, o[j] + bias), lanes);
  }
}

// A tile's image and first row and column of `out`; walks through the batch without a division.
struct Tile {
  int64_t n, h, w;
};
SENTEI_INLINE void next_tile(const WinogradPlan& p, Tile& t) {
  t.w += p.m;
  if (t.w < p.Q) return;
  t.w = 0;
  t.h += p.m;
  if (t.h < p.P) return;
  t.h = 0;
  ++t.n;
}

template <int M>
struct Pass {
  static constexpr int E = M + 2;
  const WinogradArgs& a;
  const WinogradPlan& p;

  Tile tile(int64_t t) const {
    const int64_t per = p.rows * p.columns, i = t % per;
    return {t / per, i / p.columns * M, i % p.columns * M};
  }

  __attribute__((noinline)) void input(int64_t begin, int64_t n, float* v) const {
    Tile t = tile(begin);
    for (int64_t i = 0; i < n; ++i, next_tile(p, t))
      winograd_input_tile<M>(
          a.in + t.n * p.H * p.W * p.C, p.H, p.W, p.C, t.h - p.padding_h, t.w - p.padding_w,
          a.scratch, v + i / kBlock * p.v_block + i % kBlock * kPad, kBlock * kPad, kSegment<E>);
  }

  // The memory that the output transform of the next tiles will write.
  __attribute__((noinline)) void fetch(Tile& t, int64_t tiles, int64_t panel) const {
    const int64_t k0 = panel * kPanel, k1 = imin(p.K, k0 + kPanel);
    for (int64_t i = 0; i < tiles; ++i, next_tile(p, t))
      for (int h = 0; h < M; ++h)
        for (int w = 0; w < M; ++w) {
          const float* y = a.out + ((t.n * p.P + t.h + h) * p.Q + t.w + w) * p.K;
          for (int64_t k = k0; k < k1; k += kPad) __builtin_prefetch(y + k, 0, 2);
        }
  }

  __attribute__((noinline)) void products(int64_t panel, int64_t n, const float* v, float* m,
                                          int64_t chunk) const {
    const int64_t begin = panel * kPanel, end = imin(p.K, begin + kPanel);
    // Filters beyond the L2 cache are fetched a block ahead.
    const bool far = p.filter_floats > kFarFloats;
    Tile out = tile(chunk * p.chunk);
    for_blocks(begin, end, [&](int64_t k, auto vectors, int) {
      constexpr int V = decltype(vectors)::value, L = V * kLanes;
      constexpr int P = V == 3 ? 6 : kTileRows<V>;
      const int64_t plane = (p.C + 1) * L;
      const float* u = a.packed + E * E * (p.C + 1) * k;
      for (int e = 0; e < E * E; ++e, u += plane) {
        const float *ahead = u + plane, *last = far ? ahead + plane : ahead;
        const float* x = v + e * (kBlock * kPad);
        float* y = m + e * (kBlock * kPad) + column<E>(k - begin);
        for (int64_t left = n; left > 0; left -= kBlock, x += p.v_block, y += p.m_block) {
          const int64_t rows = imin(kBlock, left);
          int64_t i = 0;
          product_rows<P, V, E>(i, rows, x, u, p.C, y, ahead, last);
          product_rows<P / 2, V, E>(i, rows, x, u, p.C, y, ahead, last);
          product_rows<2, V, E>(i, rows, x, u, p.C, y, ahead, last);
          product_rows<1, V, E>(i, rows, x, u, p.C, y, ahead, last);
        }
        if (k == begin) fetch(out, n * (e + 1) / (E * E) - n * e / (E * E), panel);
      }
    });
  }

  __attribute__((noinline)) void output(int64_t begin, int64_t panel, int64_t n,
                                        const float* m0) const {
    const int64_t k0 = panel * kPanel, k1 = imin(p.K, k0 + kPanel), row = p.Q * p.K;
    const vf low = splat(a.relu ? 0.0f : -__builtin_inff());
    Tile t = tile(begin);
    for (int64_t i = 0; i < n; ++i, next_tile(p, t)) {
      const float* m = m0 + i / kBlock * p.m_block + i % kBlock * kPad;
      float* y = a.out + ((t.n * p.P + t.h) * p.Q + t.w) * p.K;
      const int high = static_cast<int>(imin(M, p.P - t.h));
      const int wide = static_cast<int>(imin(M, p.Q - t.w));
      for (int64_t k = k0; k < k1; k += kLanes) {
        const int lanes = static_cast<int>(imin(kLanes, k1 - k));
        const vf bias = a.bias ? load_n(a.bias + k, lanes) : vf{};
        const float* mk = m + column<E>(k - k0);
        if (lanes == kLanes && high == M && wide == M) {
          output_vector<M>(mk, bias, low, y + k, row, p.K, kLanes, M, M);
        } else {
          output_vector<M>(mk, bias, low, y + k, row, p.K, lanes, high, wide);
        }
      }
    }
  }

  void task(int64_t chunk, int64_t group, float* scratch) const {
    const int64_t tiles = p.N * p.rows * p.columns;
    const int64_t begin = chunk * p.chunk, n = imin(p.chunk, tiles - begin);
    float *v = scratch, *m = scratch + ceil_div(p.chunk, kBlock) * p.v_block;
    input(begin, n, v);
    const Range panels = even_part(p.panels, p.groups, group);
    for (int64_t panel = panels.begin; panel < panels.end; ++panel) {
      products(panel, n, v, m, chunk);
      output(begin, panel, n, m);
    }
  }
};

// More tasks than strands: each strand takes the next run of them, so the scratch of a strand stays
// in the cache of the thread that runs it, and threads work on memory far apart.
template <int M>
void run_strands(const WinogradArgs& a) {
  const WinogradPlan& p = *a.plan;
  const Pass<M> pass{a, p};
  const int64_t tasks = p.chunks * p.groups, runs = imin(tasks, kRuns);
  float* scratch = a.scratch + padded(p.C);
  struct alignas(2 * 64) {  // no line shared with what all threads read
    int64_t next = 0;
  } shared;
  parallel_for(p.strands, [&](int64_t strand) {
    for (;;) {
      const int64_t run = __atomic_fetch_add(&shared.next, 1, __ATOMIC_RELAXED);
      if (run >= runs) return;
      const Range range = even_part(tasks, runs, run);
      for (int64_t task = range.begin; task < range.end; ++task)
        pass.task(task / p.groups, task % p.groups, scratch + strand * p.scratch_floats);
    }
  });
}

void run(const WinogradArgs& a) {
  for (int64_t c = 0; c < padded(a.plan->C); ++c) a.scratch[c] = 0.0f;
  if (a.plan->m == 2) {
    run_strands<2>(a);
  } else {
    run_strands<4>(a);
  }
}

// G g G^T of one vector of filters to u[e plane].
template <int M>
SENTEI_INLINE void filter_vector(const vf (&g)[9], float* u, int64_t plane) {
  constexpr int E = M + 2;
  vf t[3 * E];
#pragma GCC unroll 3
  for (int j = 0; j < 3; ++j) winograd_filter<M>(g + j, 3, t + j, 3);
#pragma GCC unroll 6
  for (int i = 0; i < E; ++i) {
    vf o[E];
    winograd_filter<M>(t + i * 3, 1, o, 1);
#pragma GCC unroll 6
    for (int j = 0; j < E; ++j) store(u + (i * E + j) * plane, o[j]);
  }
}

// Forward: k goes to the lanes, so squares of (k, c) are transposed, once per tap.
template <int M, int V>
SENTEI_NOINLINE void pack_forward(const WinogradPlan& p, const float* filter, int64_t k,
                                  int64_t begin, int64_t end, float* packed) {
  constexpr int L = V * kLanes;
  for (int64_t c = begin; c < end; c += kLanes) {
    const int columns = static_cast<int>(imin(kLanes, end - c));
    vf taps[V][kLanes][9];
    for (int v = 0; v < V; ++v) {
      const float* f = filter + (k + v * kLanes) * 9 * p.C + c;
      const int64_t filters = p.K - k - v * kLanes;
      for (int t = 0; t < 9; ++t) {
        vf r[kLanes];
#pragma GCC unroll 16
        for (int i = 0; i < kLanes; ++i)
          r[i] = i < filters ? load_n(f + (i * 9 + t) * p.C, columns) : vf{};
        transpose(r);
#pragma GCC unroll 16
        for (int i = 0; i < kLanes; ++i) taps[v][i][t] = r[i];
      }
    }
    for (int i = 0; i < columns; ++i)  // whole rows of L: streams, not scattered lines
      for (int v = 0; v < V; ++v)
        filter_vector<M>(taps[v][i], packed + (c + i) * L + v * kLanes, (p.C + 1) * L);
  }
}

// Input gradient: the filter turned by half a turn; its outputs are C of the filter, contiguous.
template <int M, int V>
SENTEI_NOINLINE void pack_backward(const WinogradPlan& p, const float* filter, int64_t k,
                                   int64_t begin, int64_t end, int last, float* packed) {
  constexpr int L = V * kLanes;
  for (int64_t c = begin; c < end; ++c)
    for (int v = 0; v < V; ++v) {
      const float* f = filter + c * 9 * p.K + k + v * kLanes;
      vf g[9];
#pragma GCC unroll 9
      for (int t = 0; t < 9; ++t) g[t] = load_n(f + (8 - t) * p.K, v == V - 1 ? last : kLanes);
      filter_vector<M>(g, packed + c * L + v * kLanes, (p.C + 1) * L);
    }
}

template <int M>
void pack_all(const WinogradPlan& p, const float* filter, float* packed) {
  const int64_t parts = ceil_div(p.C, 32);
  parallel_for(p.panels * parts, [&](int64_t task) {
    const int64_t panel = task / parts, begin = task % parts * 32, end = imin(p.C, begin + 32);
    for_blocks(panel * kPanel, imin(p.K, (panel + 1) * kPanel), [&](int64_t k, auto v, int last) {
      constexpr int V = decltype(v)::value;
      float* dst = packed + (M + 2) * (M + 2) * (p.C + 1) * k;
      if (p.backward) {
        pack_backward<M, V>(p, filter, k, begin, end, last, dst);
      } else {
        pack_forward<M, V>(p, filter, k, begin, end, dst);
      }
    });
  });
}

void pack(const WinogradPlan& p, const float* filter, float* packed) {
  if (p.m == 2) {
    pack_all<2>(p, filter, packed);
  } else {
    pack_all<4>(p, filter, packed);
  }
}

}  // namespace

extern const WinogradKernels conv2d_winograd_kernels;
const WinogradKernels conv2d_winograd_kernels = {pack, run};

}  // namespace sentei::cpu::SENTEI_ISA
