#include <algorithm>

#include "cpu/conv2d_weight_winograd.hpp"

namespace sentei::cpu {
namespace {

using std::int64_t;

int64_t parts_of(int64_t n, int64_t most) { return (n + most - 1) / most; }
int64_t largest_part(int64_t n, int64_t parts) { return (n + parts - 1) / parts; }

}  // namespace

int conv2d_weight_winograd_tile(const Conv2dGeometry& g, Precision precision) {
  const int m = precision == Precision::fast ? 4 : precision == Precision::float32 ? 2 : 0;
  if (m == 0 || g.G != 1 || g.R != 3 || g.S != 3 || g.stride_h != 1 || g.stride_w != 1 ||
      g.dilation_h != 1 || g.dilation_w != 1)
    return 0;
  // What is not products: the transforms, as much as some channels, and the last step of a task, as
  // much as some pixels. Measured on two AVX-512 cores; see the note of 2026-11-21.
  const int64_t least = std::min(g.C, g.K), pixels = g.N * g.P * g.Q;
  return least >= (m == 4 ? 16 : 24) && pixels >= 512 && pixels * least >= 32768 ? m : 0;
}

Conv2dWeightWinogradSplit conv2d_weight_winograd_split(const Conv2dGeometry& g, int m) {
  // A block's sums, and a chunk of both tensors transformed, stay in an L2 cache of 2 MB; one place
  // of a chunk stays in the L1 cache.
  constexpr int64_t block = kPanel, wanted = 16;
  Conv2dWeightWinogradSplit s{};
  const int64_t places = (m + 2) * (m + 2);
  s.m = m;
  s.rows = parts_of(g.P, m), s.columns = parts_of(g.Q, m);
  s.chunk = m == 4 ? 32 : 64;
  s.c_blocks = parts_of(g.C, block), s.k_blocks = parts_of(g.K, block);
  const int64_t C = padded(largest_part(g.C, s.c_blocks));
  const int64_t K = kPad * largest_part(padded(g.K) / kPad, s.k_blocks);
  const int64_t tiles = g.N * s.rows * s.columns;
  // A power of two, so that 2 or 4 threads have equal shares.
  const int64_t most = std::min(wanted / (s.c_blocks * s.k_blocks), 2 * tiles / (3 * s.chunk));
  for (s.slots = 1; 2 * s.slots <= most;) s.slots *= 2;
  s.slot_floats = 9 * g.C * padded(g.K);
  // A cache line more than a power of two, else the places share a set of the L1 cache.
  s.x_plane = s.chunk * C + kPad, s.dy_plane = s.chunk * K + kPad;
  s.sum_floats = places * C * K;
  s.scratch_floats = places * (s.x_plane + s.dy_plane) + s.sum_floats;
  return s;
}

}  // namespace sentei::cpu
