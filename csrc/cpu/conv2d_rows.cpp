// Forward and input gradient of filters three taps wide with at most kLanes outputs: every output
// is one sum over (r, c, s) in that order.
#include "cpu/conv2d_rows.hpp"

#include "core/parallel.hpp"
#include "cpu/conv2d_rows_tile.hpp"
#include "cpu/gemm.hpp"

namespace sentei::cpu::SENTEI_ISA {
namespace {

using std::int64_t;

// [r][s][c][k], turned around for the input gradient.
void pack(const RowsPlan& p, bool backward, const float* filter, float* packed) {
  const int64_t taps = p.R * kRowTaps;
  if (!backward) return pack_transposed(filter, taps * p.C, p.K, taps * p.C, packed, kLanes);
  for (int64_t row = 0; row < taps * p.C; ++row)
    store(packed + row * kLanes,
          load_n(filter + (row % p.C * taps + taps - 1 - row / p.C) * p.K, static_cast<int>(p.K)));
}

// The rows of an image that the output rows [p0, p1) see, with their padding.
SENTEI_NOINLINE void copy_rows(const RowsPlan& p, const float* image, int64_t p0, int64_t p1,
                               float* rows) {
  const int64_t left = p.padding_w * p.C, n = p.W * p.C;
  for (int64_t h = p0 - p.padding_h; h < p1 - p.padding_h + p.R - 1; ++h, rows += p.x_row) {
    if (h < 0 || h >= p.H) continue;  // not read
    for (int64_t j = 0; j < left; ++j) rows[j] = 0.0f;
    std::memcpy(rows + left, image + h * n, static_cast<std::size_t>(n) * sizeof(float));
    for (int64_t j = left + n; j < p.x_row; ++j) rows[j] = 0.0f;
  }
}

void run(const RowsArgs& a) {
  const RowsPlan& p = *a.plan;
  float *bias = a.scratch, *scratch = bias + kPad;
  for (int64_t k = 0; k < kPad; ++k) bias[k] = a.bias && k < p.K ? a.bias[k] : 0.0f;
  const RowSum sum{
      p.C, p.x_row, a.packed, bias, p.K, static_cast<int>(p.K), a.relu ? 0.0f : -__builtin_inff()};
  const int64_t tiles = ceil_div(p.Q, kRowTile);
  parallel_for(p.strands, [&](int64_t strand) {
    float* rows = scratch + strand * p.strand_floats;
    const Range bands = even_part(p.N * p.bands, p.strands, strand);
    for (int64_t i = bands.begin; i < bands.end; ++i) {
      const int64_t n = i / p.bands;
      const Range part = even_part(p.P, p.bands, i % p.bands);
      copy_rows(p, a.in + n * p.H * p.W * p.C, part.begin, part.end, rows);
      for (int64_t row = part.begin; row < part.end; ++row) {
        const int64_t r0 = imax(0, p.padding_h - row), r1 = imin(p.R, p.H + p.padding_h - row);
        const float* x = rows + (row - part.begin) * p.x_row;
        float* y = a.out + (n * p.P + row) * p.Q * p.K;
        for (int64_t t = 0; t < tiles; ++t) {
          const Range q = even_part(p.Q, tiles, t);
          row_pick(static_cast<int>(q.end - q.begin), sum, x + q.begin * p.C, r0, r1,
                   y + q.begin * p.K);
        }
      }
    }
  });
}

}  // namespace

extern const RowsKernels rows_kernels;
const RowsKernels rows_kernels = {pack, run};

}  // namespace sentei::cpu::SENTEI_ISA
