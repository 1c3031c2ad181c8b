// What the Winograd kernels read about a convolution: a function of the geometry alone, the same
// for every instruction set.
#pragma once
#include <cstddef>
#include <cstdint>

#include "core/precision.hpp"
#include "cpu/gemm_types.hpp"
#include "ops/conv2d_geometry.hpp"

namespace sentei::cpu {

constexpr std::int64_t kWinogradBlock = 12;  // tiles that lie side by side in V and M

// One pass, forward or input gradient: `in` (N, H, W, C), `out` (N, P, Q, K). Tiles of m x m
// outputs are counted row by row through the batch; a task takes a chunk of them and a group of
// panels of K. Each output belongs to one tile and is one sum in one order, so neither the cut into
// tasks nor the batch can change its bits.
struct WinogradPlan {
  int m;                     // 2 or 4; 0: direct convolution is the choice
  bool backward;             // input gradient: in = dy, out = dx
  int padding_h, padding_w;  // rows and columns of zeros before the first of `in`
  std::int64_t N, H, W, C, P, Q, K;
  std::int64_t rows, columns;                  // tiles of one image
  std::int64_t chunk, chunks;                  // tiles of a task
  std::int64_t panels, groups;                 // of K; groups of panels
  std::int64_t strands;                        // tasks at a time, each with its own scratch
  std::int64_t v_block, m_block;               // floats of kWinogradBlock tiles
  std::int64_t filter_floats, scratch_floats;  // of the packed filter; of one strand
};
WinogradPlan winograd_forward_plan(const Conv2dGeometry& g, Precision precision);
WinogradPlan winograd_backward_input_plan(const Conv2dGeometry& g, Precision precision);

// Floats besides the packed filter: a row of zeros, the strands.
std::int64_t winograd_scratch(const WinogradPlan& plan);

struct WinogradArgs {
  const WinogradPlan* plan;
  const float *in, *bias;  // bias may be null
  bool relu;
  float* out;
  const float* packed;  // filter_floats, made by pack
  float* scratch;       // winograd_scratch
};
struct WinogradKernels {
  // U = G g G^T of the filter (K, 3, 3, C) of the forward pass, in the order that run reads.
  void (*pack)(const WinogradPlan& plan, const float* filter, float* packed);
  void (*run)(const WinogradArgs& args);
};

}  // namespace sentei::cpu
