#include "cpu/bf16_plan.hpp"

#include <algorithm>
#include <numeric>

namespace sentei::cpu {
namespace {

using std::int64_t;
using std::size_t;

// What fits the L2 cache of one core beside the filters, and how many tasks keep 16 threads busy.
constexpr int64_t kLinearBytes = 8 << 20;
constexpr int64_t kCopyBytes = 640 << 10, kWantedTasks = 16, kMostSlots = 16;
// Sums of dw that stay in that cache while a task goes through its chunks.
constexpr int64_t kSumFloats = 1 << 18;
constexpr int64_t kWeightPixels = 512;  // a chunk of the weight gradient: one sum

int64_t up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }
int64_t parts_of(int64_t n, int64_t size) { return (n + size - 1) / size; }
size_t aligned(int64_t bytes) { return static_cast<size_t>(up(bytes, 64)); }

// Rows of `in` between those that the first and the last of `rows` rows of `out` see.
int64_t rows_seen(const Bf16Axis& a, int64_t rows, int64_t taps) {
  const int64_t reach = (taps - 1) * a.dilation;
  const int64_t seen =
      a.backward ? (rows - 1 + reach) / a.stride + 1 : (rows - 1) * a.stride + reach + 1;
  return std::clamp<int64_t>(seen, 1, std::max<int64_t>(1, a.in));
}

Bf16Copies copies_of(const Conv2dGeometry& g, bool backward, bool may_shift) {
  Bf16Copies c{};
  c.N = g.N, c.R = g.R, c.S = g.S;
  c.in_channels = c.channels = backward ? g.K : g.C;
  c.rows = {g.H, g.P, g.stride_h, g.dilation_h, g.padding_h, backward};
  c.columns = {g.W, g.Q, g.stride_w, g.dilation_w, g.padding_w, backward};
  if (backward) {
    std::swap(c.rows.in, c.rows.out);
    std::swap(c.columns.in, c.columns.out);
  }
  // Few channels: the columns of a filter, neighbours in x, become channels of one pixel.
  if (!backward && g.S > 1 && g.dilation_w == 1 && g.C * g.S <= kBf16Block) {
    c.merged = g.C, c.channels = g.C * g.S, c.S = 1;
  }
  // One copy where images are so wide that tiles of 16 columns fit their rows.
  c.shifted = may_shift && c.S > 1 && c.columns.stride == 1 &&
              up(c.columns.out, kBf16Half) * 8 <= c.columns.out * 9;
  c.copies = c.shifted ? 1 : c.S;
  c.width = c.columns.out + (c.shifted ? (c.S - 1) * c.columns.dilation : 0);
  c.blocks = std::max<int64_t>(1, parts_of(c.channels, kBf16Block));
  return c;
}

// `images` is a multiple of `step` (or all of them), and grows up to `most` while rows fit.
void cut(Bf16Copies& c, int64_t limit, int64_t bytes_per_pixel_row, int64_t step, int64_t most) {
  const auto bytes = [&](int64_t images, int64_t rows) {
    return images * rows_seen(c.rows, rows, c.R) * bytes_per_pixel_row;
  };
  const int64_t all = std::max<int64_t>(1, c.rows.out);
  c.images = std::min(c.N, step);
  c.out_rows = all;
  while (c.images + step <= std::min(c.N, most) && bytes(c.images + step, all) <= limit)
    c.images += step;
  while (c.out_rows > 1 && bytes(c.images, c.out_rows) > limit) c.out_rows = (c.out_rows + 1) / 2;
  c.images = std::max<int64_t>(1, c.images);
  c.in_rows = rows_seen(c.rows, c.out_rows, c.R);
  c.image_chunks = parts_of(c.N, c.images);
  c.row_chunks = parts_of(all, c.out_rows);
  c.chunks = c.image_chunks * c.row_chunks;
}

// The tables come first in every workspace.
size_t place_tables(Bf16Copies& c) {
  c.row_map = 0;
  c.column_map = aligned(c.rows.out * c.R * 4);
  return c.column_map + aligned(c.copies * c.width * static_cast<int64_t>(sizeof(Bf16Column)));
}

Bf16SumPlan sum_plan(const Conv2dGeometry& g, bool backward, bool packed) {
  Bf16SumPlan p{};
  Bf16Copies& c = p.in;
  c = copies_of(g, backward, true);
  p.out_channels = backward ? g.C : g.K;
  p.out_blocks = std::max<int64_t>(1, parts_of(p.out_channels, kBf16Block));
  const int64_t row_bytes = c.copies * c.width * c.blocks * kBf16Block * 2;
  // Whole tiles: 16 columns of the images side by side.
  const int64_t step = c.shifted ? 1 : kBf16Half / std::gcd(c.columns.out, kBf16Half);
  const int64_t even = up(std::max<int64_t>(1, parts_of(c.N, kWantedTasks)), step);
  const int64_t narrow = parts_of(8 * kBf16Block, std::max<int64_t>(1, c.rows.out * c.columns.out));
  // The longer it takes to read the filters again, the larger a chunk; a linear layer's are read
  // once if at all possible.
  const int64_t block = c.blocks * c.R * c.S * kBf16Block * kBf16Block * 2;
  const int64_t limit = c.rows.out * c.columns.out == 1
                            ? kLinearBytes
                            : std::clamp(p.out_blocks * block, kCopyBytes / 4, kCopyBytes);
  cut(c, limit, row_bytes, step, std::max(even, up(narrow, step)));
  p.parts =
      std::clamp<int64_t>(parts_of(kWantedTasks, std::max<int64_t>(1, c.chunks)), 1, p.out_blocks);
  p.shared = p.parts > 1;
  p.packed = packed;
  p.once = c.chunks == 1 && !packed;
  p.filter_bytes = aligned(p.out_blocks * block);
  p.slots = p.shared ? c.chunks : std::min(c.chunks, kMostSlots);
  p.filter = place_tables(c);
  p.copy = p.filter + (packed ? 0 : aligned((p.once ? p.parts : p.out_blocks) * block));
  // The last tile of a row may read past it.
  p.copy_bytes = aligned(c.images * c.in_rows * row_bytes + kBf16Block * kBf16Block * 2);
  p.bytes = p.copy + static_cast<size_t>(p.slots) * p.copy_bytes;
  return p;
}

}  // namespace

Bf16SumPlan bf16_forward_plan(const Conv2dGeometry& g, bool packed) {
  return sum_plan(g, false, packed);
}
Bf16SumPlan bf16_backward_input_plan(const Conv2dGeometry& g) { return sum_plan(g, true, false); }

Bf16WeightPlan bf16_weight_plan(const Conv2dGeometry& g) {
  Bf16WeightPlan p{};
  Bf16Copies& c = p.in;
  c = copies_of(g, false, false);
  p.K = g.K;
  p.k_blocks = std::max<int64_t>(1, parts_of(g.K, kBf16Block));
  const int64_t Q = std::max<int64_t>(1, c.columns.out), P = std::max<int64_t>(1, c.rows.out);
  const int64_t step = kBf16Block / std::gcd(Q, kBf16Block);
  cut(c, kCopyBytes, c.copies * c.width * c.blocks * kBf16Block * 2,
      std::min(step, std::max<int64_t>(1, c.N)),
      std::max(step, up(parts_of(kWeightPixels, P * Q), step)));
  p.steps = parts_of(c.images * Q, kBf16Block);
  p.x_tiles = parts_of(c.channels, kBf16Half);
  p.dy_tiles = parts_of(g.K, kBf16Half);
  p.x_size = c.copies * c.in_rows * p.x_tiles * p.steps * kBf16Tile;
  p.dy_size = c.out_rows * p.dy_tiles * p.steps * kBf16Tile;
  const int64_t sums = p.k_blocks * c.blocks * c.R * c.S * kBf16Block * kBf16Block;
  p.shared = sums > kSumFloats || c.chunks < kWantedTasks / 2 || P * Q == 1;
  p.slots = p.shared ? 1 : std::min(c.chunks, kMostSlots);
  // x, in several copies, is larger than dy: tasks share dy. In a linear layer rows of dw are long.
  int64_t &first = P * Q == 1 ? p.k_parts : p.c_parts, &second = P * Q == 1 ? p.c_parts : p.k_parts;
  const int64_t most = P * Q == 1 ? p.k_blocks : c.blocks,
                rest = P * Q == 1 ? c.blocks : p.k_blocks;
  first = p.shared ? std::min(most, kWantedTasks) : 1;
  second = p.shared ? std::min(rest, parts_of(kWantedTasks, first)) : 1;
  p.slot_floats = p.shared ? 0 : sums;
  p.pack = place_tables(c);
  const int64_t packed = (p.shared ? c.chunks : p.slots) * (p.x_size + p.dy_size) * 2;
  p.sums = p.pack + aligned(packed);
  p.bytes = p.sums + aligned(p.slots * p.slot_floats * 4);
  return p;
}

}  // namespace sentei::cpu
