// What the convolution kernels read about a geometry: built once by conv2d_plan.cpp (compiled
// once), plain structs and pointers, so that kernels of every instruction set share it.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>

#include "cpu/gemm_types.hpp"
#include "ops/conv2d.hpp"

namespace sentei::cpu {

// Forward and input gradient are one operation: every pixel of `out` sums over the taps of the
// filter that fall on a pixel of `in`. Pixels that see the same taps form a class, so borders,
// strides and dilation cost nothing: padding is never read, never multiplied.
struct Conv2dPixel {
  std::int32_t in, out;  // floats from the start of the image
};
struct Conv2dClass {
  const Conv2dPixel* pixels;
  std::int64_t count;
  const Tap* taps;
  const std::int32_t* segment;  // taps [segment[i], segment[i + 1]) belong to segment i
};
struct Conv2dSumPlan {
  std::int64_t rows;      // R S (channels of `in` per group): rows of the packed filter
  std::int64_t segments;  // the sum is cut so that a panel of packed rows stays in the L2 cache
  std::int64_t class_count;
  const Conv2dClass* classes;
  const std::int32_t* tap_order;  // [R S]: the tap r S + s at each place of the packed filter
};

// The weight gradient: for row r of the filter and for groups of columns s, the list of pixel pairs
// of one chunk of output rows, in floats, or in pixels where the kernel packs them
// (filters_in_lanes). Lists are ordered by (row, image, column), so the rows that see r are a
// contiguous part.
struct Conv2dColumns {
  std::int64_t s0, s1;    // columns of the filter, contiguous in x
  std::int64_t per_row;   // pixels of one output row that see them
  const Offset* list[2];  // for chunks of `images` and of `images + 1` images
};
struct Conv2dWeightPlan {
  std::int64_t chunks;
  std::int64_t bands;   // chunks per image, or 0 when a chunk is whole images
  std::int64_t images;  // per chunk, or one more
  std::int64_t column_count;
  const Conv2dColumns* columns;
};

enum class WeightMode {
  filters_in_lanes,   // vectors along k, x is broadcast
  channels_in_lanes,  // few filters or pixels of x: vectors along (s, c), dy is broadcast
  windows,            // few channels: vectors along k, a row of the window is broadcast from x
  depthwise,
};

// Channels of x that the weight gradient packs at a time; a multiple of every kTileRows.
constexpr std::int64_t kPackedChannels = 48;

// How the weight gradient is cut; a function of the geometry alone, because it fixes the order of
// sums.
struct Conv2dWeightSplit {
  WeightMode mode;
  std::int64_t slots;      // private copies of dw, summed in order at the end
  std::int64_t panels;     // groups x panels of filters (channels, when depthwise)
  std::int64_t row_parts;  // 1, or R: one task per row of the filter
  std::int64_t slot_floats;
  std::int64_t scratch_floats;              // of a task that runs
  std::int64_t window_rows, window_floats;  // windows: output rows at a time; floats of a row of x
  std::int64_t x_floats;                    // filters_in_lanes: packed x comes first, then dy
  std::int64_t scratch_blocks() const {
    const std::int64_t tasks = slots * panels * row_parts;
    return tasks < 24 ? tasks : 24;
  }
  std::int64_t floats() const { return slots * slot_floats + scratch_blocks() * scratch_floats; }
};
Conv2dWeightSplit conv2d_weight_split(const Conv2dGeometry& g);

std::shared_ptr<const Conv2dSumPlan> conv2d_forward_plan(const Conv2dGeometry& g);
std::shared_ptr<const Conv2dSumPlan> conv2d_backward_input_plan(const Conv2dGeometry& g);
std::shared_ptr<const Conv2dWeightPlan> conv2d_backward_weight_plan(const Conv2dGeometry& g);

// Kernel tables, one per source and instruction set.
struct Conv2dSumArgs {
  const Conv2dGeometry* g;
  const Conv2dSumPlan* plan;
  bool backward;  // input gradient: in = dy, out = dx
  const float *in, *bias;
  bool relu;
  float* out;
  const float* packed;  // made by pack
  float* padded_bias;
};
struct Conv2dSumKernels {
  void (*pack)(const Conv2dGeometry& g, const Conv2dSumPlan& plan, bool backward,
               const float* filter, float* packed);
  void (*run)(const Conv2dSumArgs&);
};
struct Conv2dWeightArgs {
  const Conv2dGeometry* g;
  const Conv2dWeightPlan* plan;
  Conv2dWeightSplit split;
  const float *x, *dy;
  float* dw;
  float* workspace;
};
struct Conv2dWeightKernels {
  void (*run)(const Conv2dWeightArgs&);
};
struct Conv2dDepthwiseKernels {
  void (*pack)(const Conv2dGeometry& g, const Conv2dSumPlan& plan, const float* filter,
               float* packed);
  void (*sum)(const Conv2dSumArgs&);
  void (*weight)(const Conv2dWeightArgs&);
};

}  // namespace sentei::cpu
