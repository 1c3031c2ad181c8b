// Forward and input gradient of filters three taps wide with at most one vector of outputs, see
// conv2d_rows_tile.hpp: what they read about a geometry.
#pragma once
#include <cstdint>

#include "cpu/gemm_types.hpp"
#include "ops/conv2d_geometry.hpp"

namespace sentei::cpu {

// `in` (N, H, W, C), `out` (N, P, Q, K) of one pass. A band is some output rows of one image; a
// strand takes bands one after the other, so its copied rows stay in the cache.
struct RowsPlan {
  bool used;  // false: the kernels that take any geometry are as good
  std::int64_t N, H, W, C, P, Q, K, R;
  std::int64_t padding_h, padding_w;
  std::int64_t bands, strands;  // bands: per image
  std::int64_t x_row, strand_floats, filter_floats;
};
RowsPlan rows_forward_plan(const Conv2dGeometry& g);
RowsPlan rows_backward_input_plan(const Conv2dGeometry& g);
std::int64_t rows_scratch(const RowsPlan& plan);  // floats besides the packed filter

struct RowsArgs {
  const RowsPlan* plan;
  const float *in, *bias;
  bool relu;
  float* out;
  const float* packed;  // filter_floats, made by pack
  float* scratch;       // rows_scratch
};
struct RowsKernels {
  // backward: for the input gradient, in = dy, out = dx.
  void (*pack)(const RowsPlan& plan, bool backward, const float* filter, float* packed);
  void (*run)(const RowsArgs&);
};

}  // namespace sentei::cpu
