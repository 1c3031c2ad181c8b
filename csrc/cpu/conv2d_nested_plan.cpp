#include <algorithm>

#include "cpu/conv2d_nested.hpp"

namespace sentei::cpu {
namespace {

using std::int64_t;

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Taps that the outputs of one axis see: what the direct kernels multiply.
int64_t seen(int64_t in, int64_t out, int64_t padding) {
  int64_t taps = 0;
  for (int64_t o = 0; o < out; ++o)
    taps += std::max<int64_t>(0, std::min(in, o - padding + 5) - std::max<int64_t>(0, o - padding));
  return taps;
}

NestedPlan plan_of(const Conv2dGeometry& g, Precision precision, bool backward, bool weight) {
  NestedPlan p{};
  const bool applies = precision != Precision::precise && g.R == 5 && g.S == 5 && g.G == 1 &&
                       g.stride_h == 1 && g.stride_w == 1 && g.dilation_h == 1 &&
                       g.dilation_w == 1 && g.padding_h < 5 && g.padding_w < 5;
  if (!applies || g.C < 16 || g.K < 16 || g.N == 0) return p;
  p.N = g.N;
  p.H = g.H, p.W = g.W, p.C = g.C, p.P = g.P, p.Q = g.Q, p.K = g.K;
  p.padding_h = g.padding_h, p.padding_w = g.padding_w;
  if (backward) {
    std::swap(p.H, p.P), std::swap(p.W, p.Q), std::swap(p.C, p.K);
    p.padding_h = 4 - p.padding_h, p.padding_w = 4 - p.padding_w;
  }
  p.rows = ceil_div(p.P, 2), p.columns = ceil_div(p.Q, 2);
  p.tiles = p.N * p.rows * p.columns;
  // The transforms and short sums cost about a quarter of the products; the filter's, in every
  // call, as much as a few hundred tiles.
  constexpr int64_t fewest_tiles = 480;
  const int64_t products = p.rows * p.columns * kNestedProducts;
  p.used = p.tiles >= fewest_tiles &&
           5 * products < 4 * seen(p.H, p.P, p.padding_h) * seen(p.W, p.Q, p.padding_w);
  // Padded, because rows a power of two apart would all fall into the same few sets of the cache.
  p.in_row = kNestedProducts * p.C + kPad;
  p.out_row = kNestedSums * padded(p.K) + kPad;
  if (weight) {
    constexpr int64_t chunk = 48, most_strands = 8, slot_bytes = 12 << 20, strand_tiles = 192;
    p.filter_floats = kNestedProducts * p.C * padded(p.K);
    p.strands =
        std::min({most_strands, slot_bytes / (4 * p.filter_floats), p.tiles / strand_tiles});
    p.strands = std::max<int64_t>(1, p.strands);
    p.chunks = std::max(p.strands, p.tiles / chunk / p.strands * p.strands);
    const int64_t most = ceil_div(p.tiles, p.chunks);
    p.in_floats = most * p.in_row;
    p.strand_floats = p.in_floats + most * p.out_row + p.filter_floats;
  } else {
    constexpr int64_t chunk = 24, most_strands = 16;
    p.chunks = std::max<int64_t>(1, p.tiles / chunk);
    p.strands = std::min(p.chunks, most_strands);
    const int64_t most = ceil_div(p.tiles, p.chunks);
    p.filter_floats = kNestedProducts * p.C * padded(p.K);
    p.in_floats = most * p.in_row;
    p.strand_floats = p.in_floats + most * p.out_row;
  }
  return p;
}

}  // namespace

NestedPlan nested_forward_plan(const Conv2dGeometry& g, Precision precision) {
  return plan_of(g, precision, false, false);
}
NestedPlan nested_backward_input_plan(const Conv2dGeometry& g, Precision precision) {
  return plan_of(g, precision, true, false);
}
NestedPlan nested_backward_weight_plan(const Conv2dGeometry& g, Precision precision) {
  return plan_of(g, precision, false, true);
}

std::int64_t nested_scratch(const NestedPlan& p) {
  return padded(p.K) + p.strands * p.strand_floats;
}

}  // namespace sentei::cpu
