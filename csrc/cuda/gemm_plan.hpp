// Which tile, and over how many blocks the depth is split. It depends on sizes alone, so that
// results have the same bits on every device.
#pragma once
#include <algorithm>
#include <cstdint>
#include <iterator>

namespace sentei::cuda {

struct GemmPlan {
  int tile, splits;
};

// Tiles of the exact kernels: the index is GemmPlan::tile. `share`: of the FMA rate when an SM has
// enough of them (an estimate from shared-memory reads per FMA).
struct GemmTile {
  int rows, columns, threads;
  double share;
};
constexpr GemmTile kGemmTiles[] = {{128, 128, 256, 0.90},
                                   {128, 64, 128, 0.85},
                                   {128, 32, 128, 0.70},
                                   {64, 64, 128, 0.75},
                                   {32, 32, 64, 0.50}};
constexpr int kSmallTiles = 3;  // from here on

// For `copies` products (rows, depth) x (depth, columns). Counts the FMAs of the busiest SM and,
// for a split, what its partial sums cost: 8 bytes each at 18 bytes a clock and SM, and a launch.
inline GemmPlan plan_gemm(std::int64_t rows, std::int64_t columns, std::int64_t depth,
                          std::int64_t copies, std::int64_t largest_part, int first_tile = 0) {
  constexpr double sum_cost = 0.43, launch_cost = 230000;
  constexpr std::int64_t slice = 16, most = 512;
  const auto up = [](std::int64_t a, std::int64_t b) { return (a + b - 1) / b; };
  const std::int64_t steps = std::max<std::int64_t>(1, up(depth, slice));
  const std::int64_t least = std::max<std::int64_t>(1, up(steps * slice, largest_part));
  GemmPlan best = {first_tile, static_cast<int>(least)};
  double best_cost = 1e300;
  for (int t = first_tile; t < static_cast<int>(std::size(kGemmTiles)); ++t) {
    const GemmTile& tile = kGemmTiles[t];
    const std::int64_t blocks = up(rows, tile.rows) * up(columns, tile.columns) * copies;
    if (blocks == 0) break;
    for (const std::int64_t wave : {0, 132, 264, 528}) {
      const std::int64_t splits = std::max(least, std::min({up(wave, blocks), up(steps, 4), most}));
      const double per_sm = static_cast<double>(up(blocks * splits, 132));
      const double busy = std::min(1.0, per_sm * tile.threads / 256);
      const double step = static_cast<double>(tile.rows) * tile.columns * slice;
      double cost =
          per_sm * step * static_cast<double>(up(steps, splits) + 2) / (tile.share * busy);
      if (splits > 1)
        cost += launch_cost + sum_cost * static_cast<double>(splits + 1) *
                                  static_cast<double>(rows * columns * copies);
      if (cost < best_cost) best_cost = cost, best = {t, static_cast<int>(splits)};
    }
  }
  return best;
}

}  // namespace sentei::cuda
