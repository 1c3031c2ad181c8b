// When a convolution goes by Winograd's algorithm, and how it is cut into tasks.
#include <algorithm>

#include "cpu/conv2d_winograd.hpp"

namespace sentei::cpu {
namespace {

using std::int64_t;

int64_t up(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Pairs of an output and a tap that falls on the input, along one axis.
int64_t taps(int64_t in, int64_t out, int padding) {
  int64_t n = 0;
  for (int64_t r = 0; r < 3; ++r)
    n += std::max<int64_t>(0, std::min(out, in + padding - r) - std::max<int64_t>(0, padding - r));
  return n;
}

// The cost rule: multiply-adds of vectors of 16 floats for one image. What a transform costs beside
// them is measured, in the same unit, for each of the (m + 2)^2 places of a vector of a tile.
constexpr int64_t kInputCost = 8, kOutputCost = 5;

// F(4x4,3x3) quadruples the filter; beyond 24 MB its way through the caches takes what it saves.
constexpr int64_t kLargestFilter = 6 << 20;

int64_t direct_cost(const WinogradPlan& p) {
  return taps(p.H, p.P, p.padding_h) * taps(p.W, p.Q, p.padding_w) * p.C * up(p.K, kPad);
}
int64_t winograd_cost(const WinogradPlan& p, int m) {
  const int64_t C = up(p.C, kPad), K = up(p.K, kPad);
  return up(p.P, m) * up(p.Q, m) * (m + 2) * (m + 2) * (p.C * K + kInputCost * C + kOutputCost * K);
}

int choose(const WinogradPlan& p, Precision precision) {
  if (precision != Precision::float32 && precision != Precision::fast) return 0;
  if (p.C < kPad) return 0;  // the steps of a product are too few
  int m = 0;
  int64_t least = direct_cost(p) * 9 / 10;
  if (winograd_cost(p, 2) < least) m = 2, least = winograd_cost(p, 2);
  const bool small = 36 * p.C * p.K <= kLargestFilter;
  if (precision == Precision::fast && small && winograd_cost(p, 4) < least) m = 4;
  return m;
}

// Chunks that fill the L2 cache, smaller ones for the L1 cache where they fit; for a small problem
// enough tasks for a few threads: first by panels, which share no filter, then by tiles.
void cut(WinogradPlan& p) {
  constexpr int64_t l1_bytes = 32 << 10, enough = 16, least = 4, strands = 16;
  const int64_t places = (p.m + 2) * (p.m + 2), tiles = p.N * p.rows * p.columns;
  p.v_block = places * kWinogradBlock * padded(p.C);
  p.m_block = places * kWinogradBlock * std::min(kPanel, padded(p.K));
  const int64_t block_bytes = 4 * (p.v_block + p.m_block);
  p.chunk = 2 * kWinogradBlock;
  if (block_bytes <= l1_bytes) p.chunk = kWinogradBlock;
  p.chunks = std::max<int64_t>(1, up(tiles, p.chunk));
  p.groups = p.chunks >= enough ? 1 : std::min(p.panels, up(enough, p.chunks));
  if (p.chunks * p.groups < least) {
    p.chunk = std::max<int64_t>(6, up(up(tiles, up(least, p.groups)), 6) * 6);
    p.chunks = std::max<int64_t>(1, up(tiles, p.chunk));
  }
  p.strands = std::min(strands, p.chunks * p.groups);
  p.filter_floats = places * (p.C + 1) * padded(p.K);
  p.scratch_floats = up(p.chunk, kWinogradBlock) * (p.v_block + p.m_block);
}

bool applies(const Conv2dGeometry& g) {
  return g.R == 3 && g.S == 3 && g.G == 1 && g.stride_h == 1 && g.stride_w == 1 &&
         g.dilation_h == 1 && g.dilation_w == 1 && g.padding_h <= 2 && g.padding_w <= 2;
}

WinogradPlan finish(WinogradPlan p, Precision precision) {
  p.m = choose(p, precision);
  if (p.m == 0) return p;
  p.rows = up(p.P, p.m), p.columns = up(p.Q, p.m), p.panels = up(p.K, kPanel);
  cut(p);
  return p;
}

}  // namespace

WinogradPlan winograd_forward_plan(const Conv2dGeometry& g, Precision precision) {
  WinogradPlan p{};
  if (!applies(g)) return p;
  p.padding_h = g.padding_h, p.padding_w = g.padding_w;
  p.N = g.N, p.H = g.H, p.W = g.W, p.C = g.C, p.P = g.P, p.Q = g.Q, p.K = g.K;
  return finish(p, precision);
}

WinogradPlan winograd_backward_input_plan(const Conv2dGeometry& g, Precision precision) {
  WinogradPlan p{};
  if (!applies(g)) return p;
  p.backward = true;
  p.padding_h = 2 - g.padding_h, p.padding_w = 2 - g.padding_w;
  p.N = g.N, p.H = g.P, p.W = g.Q, p.C = g.K, p.P = g.H, p.Q = g.W, p.K = g.C;
  return finish(p, precision);
}

int64_t winograd_scratch(const WinogradPlan& p) {
  return padded(p.C) + p.strands * p.scratch_floats;
}

}  // namespace sentei::cpu
