// 5x5 filters by minimal filtering: along each axis the five taps are three and two, F(2,3) and
// F(2,2) at the points 0, 1, -1, infinity and 0, 1, infinity. A tile of 2 x 2 outputs then takes
// 7 x 7 products instead of 10 x 10, all transforms are sums and halves, and products at the same
// point of both parts add up in one sum of 1, 2 or 4 C terms: 16 sums per tile, not 49.
#pragma once
#include <cstdint>

#include "core/precision.hpp"
#include "cpu/gemm_types.hpp"
#include "ops/conv2d_geometry.hpp"

namespace sentei::cpu {

// The seven products of one axis, ordered by the point whose sum they enter.
constexpr int kNestedPoints = 4;
constexpr int kNestedFirst[kNestedPoints + 1] = {0, 2, 4, 5, 7};
constexpr int kNestedProducts = 49;  // of a tile
constexpr int kNestedSums = 16;

// Where the products of sum (a, b) begin, and where product (i, j) of the two axes stands.
constexpr int nested_begin(int a, int b) {
  return kNestedFirst[a] * 7 + (kNestedFirst[a + 1] - kNestedFirst[a]) * kNestedFirst[b];
}
constexpr int nested_size(int a, int b) {
  return (kNestedFirst[a + 1] - kNestedFirst[a]) * (kNestedFirst[b + 1] - kNestedFirst[b]);
}
constexpr int nested_point(int i) { return i < 2 ? 0 : i < 4 ? 1 : i < 5 ? 2 : 3; }
constexpr int nested_place(int i, int j) {
  const int a = nested_point(i), b = nested_point(j);
  return nested_begin(a, b) + (i - kNestedFirst[a]) * (kNestedFirst[b + 1] - kNestedFirst[b]) + j -
         kNestedFirst[b];
}

// `in` (N, H, W, C), `out` (N, P, Q, K) of one pass; tiles are counted row by row through the
// batch. Forward and input gradient: a task takes a chunk of tiles and borrows the scratch of a
// strand. Weight gradient: a strand sums its chunks into a dU of its own, the strands are added in
// order.
struct NestedPlan {
  bool used;  // false: the direct kernels take fewer multiplications, or a 5x5 plan does not apply
  std::int64_t N, H, W, C, P, Q, K;
  std::int64_t padding_h, padding_w;
  std::int64_t rows, columns, tiles;  // per image; tiles: of the batch
  std::int64_t chunks, strands;
  std::int64_t in_row, out_row;  // floats of a tile, transformed
  std::int64_t filter_floats, strand_floats;
  std::int64_t in_floats;  // of a chunk
};
NestedPlan nested_forward_plan(const Conv2dGeometry& g, Precision precision);
NestedPlan nested_backward_input_plan(const Conv2dGeometry& g, Precision precision);
NestedPlan nested_backward_weight_plan(const Conv2dGeometry& g, Precision precision);
std::int64_t nested_scratch(const NestedPlan& plan);  // floats besides the packed filter

struct NestedSumArgs {
  const NestedPlan* plan;
  bool backward;  // input gradient: in = dy, out = dx
  const float *in, *bias;
  bool relu;
  float* out;
  const float* packed;  // filter_floats, made by pack
  float* scratch;       // nested_scratch
};
struct NestedWeightArgs {
  const NestedPlan* plan;
  const float *x, *dy;
  float *dw, *workspace;
};
struct NestedSumKernels {
  void (*pack)(const NestedPlan& plan, bool backward, const float* filter, float* packed);
  void (*run)(const NestedSumArgs&);
};
struct NestedWeightKernels {
  void (*run)(const NestedWeightArgs&);
};

}  // namespace sentei::cpu
