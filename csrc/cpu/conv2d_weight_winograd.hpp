// The weight gradient of a 3 x 3 convolution of stride 1 by Winograd's minimal filtering
// F(3 x 3, m x m): how the work is cut, a function of the geometry alone, because it fixes the
// order of sums.
#pragma once
#include <cstdint>

#include "core/precision.hpp"
#include "cpu/gemm_types.hpp"
#include "ops/conv2d_geometry.hpp"

namespace sentei::cpu {

struct Conv2dWeightWinogradSplit {
  int m;                            // a tile is m x m pixels of dy: 2 or 4
  std::int64_t rows, columns;       // tiles of one image
  std::int64_t c_blocks, k_blocks;  // one task: a block of channels, a block of filters
  std::int64_t slots;               // private copies of dw, summed in order at the end
  std::int64_t chunk;               // tiles that are transformed at a time, at most
  std::int64_t slot_floats;         // [3][3][C][padded(K)]
  std::int64_t x_plane, dy_plane;   // floats between the places of a tile, transformed
  std::int64_t sum_floats;          // the (m + 2)^2 sums of products
  std::int64_t scratch_floats;      // of a task that runs
  std::int64_t tasks() const { return slots * c_blocks * k_blocks; }
  std::int64_t scratch_blocks() const { return tasks() < 16 ? tasks() : 16; }
  std::int64_t floats() const { return slots * slot_floats + scratch_blocks() * scratch_floats; }
};

// m, or 0 where the direct kernel runs.
int conv2d_weight_winograd_tile(const Conv2dGeometry& g, Precision precision);
Conv2dWeightWinogradSplit conv2d_weight_winograd_split(const Conv2dGeometry& g, int m);

struct Conv2dWeightWinogradArgs {
  const Conv2dGeometry* g;
  Conv2dWeightWinogradSplit split;
  const float *x, *dy;
  float* dw;
  float* workspace;
};
struct Conv2dWeightWinogradKernels {
  void (*run)(const Conv2dWeightWinogradArgs&);
};

}  // namespace sentei::cpu
