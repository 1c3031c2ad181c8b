// Weight gradient of 5x5 filters, see conv2d_nested.hpp: dM = A dy A^T, dU[product] = sum over
// tiles of V dM, dw = G^T dU G. Sums run over chunks of tiles from zero, chunks are added within a
// strand, strands in order: three levels, cut by the geometry alone.
#include "core/parallel.hpp"
#include "cpu/conv2d_nested_tile.hpp"
#include "cpu/gemm.hpp"

namespace sentei::cpu::SENTEI_ISA {
namespace {

using std::int64_t;

// dM of the tiles for one vector of filters, [tile][sum][k].
SENTEI_NOINLINE void outputs_gradient(const NestedPlan& p, const float* dy, const Range& tiles,
                                      int64_t k, float* out) {
  const int lanes = static_cast<int>(imin(kLanes, p.K - k));
  const int64_t width = padded(p.K);
  NestedTile at = NestedTile::at(p, tiles.begin);
  out += k;
  for (int64_t t = tiles.begin; t < tiles.end; ++t, out += p.out_row, at.next(p)) {
    const float* d = dy + ((at.n * p.P + 2 * at.row) * p.Q + 2 * at.column) * p.K + k;
    const bool down = 2 * at.row + 1 < p.P, right = 2 * at.column + 1 < p.Q;
    const vf y[2][2] = {
        {load_n(d, lanes), right ? load_n(d + p.K, lanes) : vf{}},
        {down ? load_n(d + p.Q * p.K, lanes) : vf{},
         down && right ? load_n(d + (p.Q + 1) * p.K, lanes) : vf{}},
    };
    vf m[4][2];
#pragma GCC unroll 2
    for (int j = 0; j < 2; ++j) {
      m[0][j] = y[0][j];
      m[1][j] = y[0][j] + y[1][j];
      m[2][j] = y[0][j] - y[1][j];
      m[3][j] = -y[1][j];
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      store(out + (4 * i) * width, m[i][0]);
      store(out + (4 * i + 1) * width, m[i][0] + m[i][1]);
      store(out + (4 * i + 2) * width, m[i][0] - m[i][1]);
      store(out + (4 * i + 3) * width, -m[i][1]);
    }
  }
}

void multiply(const NestedPlan& p, int64_t tiles, const float* v, const float* m, bool add,
              float* du) {
  const int64_t width = padded(p.K);
  const ByStride at{p.in_row, p.out_row};
  for (int s = 0; s < kNestedSums; ++s) {
    const int begin = nested_begin(s / 4, s % 4), end = begin + nested_size(s / 4, s % 4);
    // The products of one sum are rows of one matrix: they share dM.
    for_blocks(0, p.K, [&](int64_t k, auto w, int) {
      outer_rows<decltype(w)::value>((end - begin) * p.C, v + begin * p.C, m + s * width + k, at,
                                     tiles, du + begin * p.C * width + k, width, kLanes, add);
    });
  }
}

// G^T along one axis.
SENTEI_INLINE void taps_of(const vf (&u)[7], vf (&g)[5]) {
  const vf half = splat(0.5f), even = half * (u[2] + u[4]), odd = half * (u[2] - u[4]);
  g[0] = u[0] + even, g[1] = odd, g[2] = even + u[5];
  g[3] = u[1] + u[3], g[4] = u[3] + u[6];
}

// dw of one vector of filters by one vector of channels, from the dU of all strands.
SENTEI_NOINLINE void reduce(const NestedWeightArgs& a, const float* du, int64_t c0, int64_t k0) {
  const NestedPlan& p = *a.plan;
  const int64_t width = padded(p.K), n = imin(kLanes, p.C - c0), m = imin(kLanes, p.K - k0);
  float taps[25][kLanes][kLanes] __attribute__((aligned(64)));
  for (int64_t c = 0; c < n; ++c) {
    vf half[5][7];
#pragma GCC unroll 7
    for (int j = 0; j < 7; ++j) {
      vf u[7], g[5];
#pragma GCC unroll 7
      for (int i = 0; i < 7; ++i) {
        const float* from = du + (nested_place(i, j) * p.C + c0 + c) * width + k0;
        u[i] = load(from);
        for (int64_t s = 1; s < p.strands; ++s) u[i] += load(from + s * p.strand_floats);
      }
      taps_of(u, g);
#pragma GCC unroll 5
      for (int r = 0; r < 5; ++r) half[r][j] = g[r];
    }
#pragma GCC unroll 5
    for (int r = 0; r < 5; ++r) {
      vf g[5];
      taps_of(half[r], g);
#pragma GCC unroll 5
      for (int s = 0; s < 5; ++s) store(taps[r * 5 + s][c], g[s]);
    }
  }
  for (int64_t t = 0; t < 25; ++t) {
    vf square[kLanes];
#pragma GCC unroll 16
    for (int i = 0; i < kLanes; ++i) square[i] = i < n ? load(taps[t][i]) : vf{};
    transpose(square);
#pragma GCC unroll 16
    for (int i = 0; i < kLanes; ++i)
      if (i < m) store_n(a.dw + ((k0 + i) * 25 + t) * p.C + c0, square[i], static_cast<int>(n));
  }
}

void run(const NestedWeightArgs& a) {
  const NestedPlan& p = *a.plan;
  const int64_t du = p.strand_floats - p.filter_floats;  // of a strand: V, dM, dU
  parallel_for(p.strands, [&](int64_t strand) {
    float* v = a.workspace + strand * p.strand_floats;
    const Range chunks = even_part(p.chunks, p.strands, strand);
    for (int64_t i = chunks.begin; i < chunks.end; ++i) {
      const Range tiles = even_part(p.tiles, p.chunks, i);
      nested_inputs(p, a.x, tiles, v);
      for (int64_t k = 0; k < padded(p.K); k += kLanes)
        outputs_gradient(p, a.dy, tiles, k, v + p.in_floats);
      multiply(p, tiles.end - tiles.begin, v, v + p.in_floats, i > chunks.begin, v + du);
    }
  });
  const int64_t c_parts = ceil_div(p.C, kLanes), k_parts = ceil_div(p.K, kLanes);
  parallel_for(c_parts * k_parts, [&](int64_t task) {
    reduce(a, a.workspace + du, task % c_parts * kLanes, task / c_parts * kLanes);
  });
}

}  // namespace

extern const NestedWeightKernels nested_weight_kernels;
const NestedWeightKernels nested_weight_kernels = {run};

}  // namespace sentei::cpu::SENTEI_ISA
