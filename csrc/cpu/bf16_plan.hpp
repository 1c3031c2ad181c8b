// What the bfloat16 kernels read about a geometry: plain structs, made by bf16_plan.cpp.
//
// Tiles. A product takes blocks of 32 x 32 results and steps of 32 terms. Its first operand comes
// as rows of 32 bfloat16, its second as 16 rows of 16 pairs (terms 2 i and 2 i + 1 of 16 columns).
//
// Copies. What a filter slides over is copied to bfloat16 so that neighbouring results always read
// neighbouring rows: one copy for each column s of the filter, moved by s, the images of a chunk
// side by side in every row ([s][block of 32 channels][row][image][column][32]). Strides, dilation
// and borders end there. Rows of the filter that fall outside are skipped, columns are zeros.
#pragma once
#include <cstddef>
#include <cstdint>

#include "ops/conv2d_geometry.hpp"

namespace sentei::cpu {

constexpr std::int64_t kBf16Block = 32;  // results along either side, terms of a step
constexpr std::int64_t kBf16Half = 16;   // rows of a tile
constexpr std::int64_t kBf16Tile = 512;  // bfloat16 numbers in a tile: 1 KB

// Along one side: which pixel of `in` tap t of pixel o of `out` falls on.
struct Bf16Axis {
  std::int64_t in, out, stride, dilation, padding;
  bool backward;  // the input gradient
};

// Where column q of a copy comes from: `offset` floats from the start of a row, and which of 32
// channels from there on; none: a column of zeros.
struct Bf16Column {
  std::int32_t offset;
  std::uint32_t mask;
};

// What forward, input gradient and weight gradient have in common.
struct Bf16Copies {
  std::int64_t N, channels, R, S;  // merged: channels = S C, S = 1
  Bf16Axis rows, columns;
  std::int64_t merged;         // C where the columns of a filter lie side by side as channels; or 0
  std::int64_t in_channels;    // floats from pixel to pixel
  bool shifted;                // stride 1: one copy for all s, read s columns further on
  std::int64_t copies, width;  // columns of a copy's row of one image
  std::int64_t blocks;         // of 32 channels
  // A chunk: `images` images, `out_rows` rows of the result, at most `in_rows` rows of a copy.
  std::int64_t images, out_rows, in_rows, image_chunks, row_chunks, chunks;
  // Bytes from the start of the workspace.
  std::size_t row_map, column_map;  // int32 [out][R], Bf16Column [copies][width]
};

struct Bf16SumPlan {
  Bf16Copies in;
  std::int64_t out_channels, out_blocks;
  std::int64_t parts;  // tasks of one chunk, by blocks of the result's channels
  bool shared;         // all chunks are copied first, because several tasks read each
  bool once;           // one chunk: its tasks pack the filters that each of them needs
  bool packed;         // the filters have been packed before
  std::int64_t slots;  // chunks in memory at once
  std::size_t filter, copy, copy_bytes, bytes;
  std::size_t filter_bytes;  // of all filters, packed
};

struct Bf16WeightPlan {
  Bf16Copies in;  // of x; its rows in pairs of pixels
  std::int64_t K, k_blocks;
  std::int64_t x_tiles, dy_tiles;  // of 16 channels
  std::int64_t c_parts, k_parts;   // tasks of one slot
  bool shared;                     // all chunks are packed first; dw is written at once
  std::int64_t slots;              // private copies of dw, summed in order at the end
  std::int64_t steps;              // of 32 pixels in a row of a chunk, at most
  std::int64_t x_size, dy_size;    // bfloat16 numbers of a packed chunk
  std::int64_t slot_floats;
  std::size_t pack, sums, bytes;
};

Bf16SumPlan bf16_forward_plan(const Conv2dGeometry& g, bool packed = false);
Bf16SumPlan bf16_backward_input_plan(const Conv2dGeometry& g);
Bf16WeightPlan bf16_weight_plan(const Conv2dGeometry& g);

struct Bf16SumArgs {
  const Bf16SumPlan* plan;
  const float *in, *filter, *bias;
  bool relu;
  float* out;
  std::byte* workspace;
  const std::byte* packed;  // where plan->packed: filter_bytes, made by pack
};
struct Bf16WeightArgs {
  const Bf16WeightPlan* plan;
  const float *x, *dy;
  float* dw;
  const std::int32_t* rows;  // filters in the order of dw, or null
  std::int64_t ldk;          // channels of dy
  std::byte* workspace;
};
struct Bf16Kernels {
  void (*pack)(const Bf16SumPlan& plan, const float* filter, std::byte* packed);
  void (*sum)(const Bf16SumArgs&);
  void (*weight)(const Bf16WeightArgs&);
  bool (*works)();  // multiplies a tile
};
struct Bf16RoundKernels {
  void (*round)(std::int64_t n, const float* from, float* to);  // to bfloat16, kept as float32
};

}  // namespace sentei::cpu
