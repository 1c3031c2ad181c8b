#include <algorithm>

#include "cpu/conv2d_rows.hpp"
#include "cpu/isa.hpp"

namespace sentei::cpu {
namespace {

using std::int64_t;

RowsPlan plan_of(const Conv2dGeometry& g, bool backward) {
  RowsPlan p{};
  // One vector of 16 lanes: with narrower ones the tiles of two vectors are as good.
  const bool applies = active_isa() == Isa::v4 && g.S == 3 && g.G == 1 && g.stride_h == 1 &&
                       g.stride_w == 1 && g.dilation_h == 1 && g.dilation_w == 1 &&
                       g.padding_h < g.R && g.padding_w < g.S;
  if (!applies || g.N == 0) return p;
  p.N = g.N, p.R = g.R;
  p.H = g.H, p.W = g.W, p.C = g.C, p.P = g.P, p.Q = g.Q, p.K = g.K;
  p.padding_h = g.padding_h, p.padding_w = g.padding_w;
  if (backward) {
    std::swap(p.H, p.P), std::swap(p.W, p.Q), std::swap(p.C, p.K);
    p.padding_h = g.R - 1 - p.padding_h, p.padding_w = g.S - 1 - p.padding_w;
  }
  constexpr int64_t narrowest = 8, most_rows = 8, wanted = 8, most_strands = 24;
  p.used = p.K <= kPad && p.Q >= narrowest;
  const int64_t rows = std::clamp<int64_t>(p.N * p.P / wanted, 2, most_rows);
  p.bands = std::max<int64_t>(1, p.P / rows);
  p.strands = std::min(p.N * p.bands, most_strands);
  p.x_row = (p.Q + g.S - 1) * p.C;
  p.strand_floats = padded(((p.P + p.bands - 1) / p.bands + g.R - 1) * p.x_row) + kPad;
  p.filter_floats = g.R * g.S * p.C * kPad;
  return p;
}

}  // namespace

RowsPlan rows_forward_plan(const Conv2dGeometry& g) { return plan_of(g, false); }
RowsPlan rows_backward_input_plan(const Conv2dGeometry& g) { return plan_of(g, true); }

std::int64_t rows_scratch(const RowsPlan& p) { return kPad + p.strands * p.strand_floats; }

}  // namespace sentei::cpu
