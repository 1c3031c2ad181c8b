#include "cpu/linear.hpp"

#include <algorithm>

#include "core/parallel.hpp"
#include "cpu/bf16.hpp"
#include "cpu/gemm_types.hpp"
#include "cpu/isa.hpp"
#include "kernels/linear.hpp"
#include "kernels/linear_lazy.hpp"

namespace sentei::cpu {

SENTEI_PICK_TIER(LinearTierKernels, linear_tier_kernels)

namespace {

using namespace sentei::kernels;
using std::int64_t;

// Rows below which w is read once as it lies instead of being packed.
constexpr int64_t kFewRows = 8;

// Enough tasks for 16 threads, unless packing the panel again for every band would cost too much.
LinearSplit split(int64_t rows, int64_t depth, int64_t columns, int64_t band_rows) {
  constexpr int64_t wanted = 24, most_slots = 32;
  LinearSplit s{};
  s.panels = std::max<int64_t>(1, (columns + kPanel - 1) / kPanel);
  s.bands = std::clamp<int64_t>((wanted + s.panels - 1) / s.panels, 1,
                                std::max<int64_t>(1, rows / band_rows));
  s.slots = std::min(s.panels * s.bands, most_slots);
  s.scratch_floats = kPanel * depth;
  return s;
}
LinearSplit product_split(int64_t N, int64_t depth, int64_t columns) {
  return split(N, std::min(depth, kLinearDepth), columns, 96);
}
LinearSplit weight_split(int64_t N, int64_t I, int64_t rows) {
  return split(rows, std::min(N, kLinearChunk), I, 48);
}

// Scratch of the slots, then `more` floats: the padded bias, or the packed dy.
std::size_t bytes(const LinearSplit& s, int64_t more) {
  return static_cast<std::size_t>(s.slots * s.scratch_floats + more) * sizeof(float);
}

// Images of one pixel, for bfloat16.
Conv2dGeometry pixels(const LinearSizes& s) {
  return {s.N, 1, 1, s.I, s.O, 1, 1, 1, 1, 1, 1, 1, 0, 0, 1, 1};
}

std::size_t x_bytes(const LinearSizes& s) {
  return static_cast<std::size_t>(padded(s.N * s.I)) * sizeof(float);
}

std::size_t forward_workspace(const LinearSizes& s, Precision precision) {
  if (precision == Precision::bfloat16)
    return s.N <= kFewRows ? x_bytes(s) : bf16_forward_workspace(pixels(s));
  return s.N <= kFewRows ? 0 : bytes(product_split(s.N, s.I, s.O), padded(s.O));
}

void forward(const LinearSizes& s, Precision precision, const float* x, const float* w,
             const float* bias, bool relu, float* y, void* workspace) {
  if (precision == Precision::bfloat16) {
    if (s.N > kFewRows) return bf16_forward(pixels(s), x, w, bias, relu, y, workspace);
    auto* const rounded = static_cast<float*>(workspace);
    bf16_round(s.N * s.I, x, rounded);
    return linear_tier_kernels().forward_few_rounded(s.N, s.I, s.O, rounded, w, bias, relu, y);
  }
  if (s.N <= kFewRows) return linear_tier_kernels().forward_few(s.N, s.I, s.O, x, w, bias, relu, y);
  linear_tier_kernels().forward(s.N, s.I, s.O, x, w, bias, relu, y, product_split(s.N, s.I, s.O),
                                static_cast<float*>(workspace));
}

std::size_t backward_input_workspace(const LinearSizes& s, Precision precision) {
  if (precision == Precision::bfloat16) return bf16_backward_input_workspace(pixels(s));
  return bytes(product_split(s.N, s.O, s.I), padded(s.I));
}

void backward_input(const LinearSizes& s, Precision precision, const float* dy, const float* w,
                    float* dx, void* workspace) {
  if (precision == Precision::bfloat16) return bf16_backward_input(pixels(s), dy, w, dx, workspace);
  linear_tier_kernels().backward_input(s.N, s.I, s.O, dy, w, dx, product_split(s.N, s.O, s.I),
                                       static_cast<float*>(workspace));
}

std::size_t backward_weight_workspace(const LinearSizes& s, Precision precision) {
  if (precision == Precision::bfloat16) return bf16_backward_weight_workspace(pixels(s));
  // dy is packed in blocks of at most 12. Fewer rows than s.O may mean fewer slots, never more.
  return bytes(weight_split(s.N, s.I, s.O), s.N * padded(s.O + kPad));
}

void backward_weight(const LinearSizes& s, Precision precision, const float* x, const float* dy,
                     float* dw, const ActiveRows* active, void* workspace) {
  const std::int32_t* rows = nullptr;
  int64_t count = s.O;
  if (active) {
    const std::int32_t* const from = active->offsets + *active->group;
    rows = active->rows + from[0];
    count = from[1] - from[0];
  }
  if (count == 0) return;
  if (precision == Precision::bfloat16)
    return bf16_backward_weight(pixels(s), x, dy, dw, rows, count, workspace);
  linear_tier_kernels().backward_weight(s.N, s.I, s.O, x, dy, dw, rows, count,
                                        weight_split(s.N, s.I, count),
                                        static_cast<float*>(workspace));
}

// Lazily kept weights: c of every row comes first in the workspace.
std::size_t row_bytes(int64_t O) { return static_cast<std::size_t>(padded(O)) * sizeof(float); }

float* spread(const LinearSizes& s, const LazyWeight& weight, void* workspace) {
  auto* const c = static_cast<float*>(workspace);
  for (int64_t o = 0; o < s.O; ++o) c[o] = weight.coef[2 * weight.group_of[o] + 1];
  return c;
}

// For bfloat16 the weight itself is written down first: it is rounded as a whole.
std::size_t weight_bytes(const LinearSizes& s, Precision p) {
  return p == Precision::bfloat16 ? static_cast<std::size_t>(padded(s.O * s.I)) * sizeof(float) : 0;
}

const float* added_up(const LinearSizes& s, const LazyWeight& weight, const float* c, float* to) {
  parallel_for(s.O, [&](int64_t o) {
    const float *w = weight.w + o * s.I, *v = weight.v + o * s.I;
    for (int64_t i = 0; i < s.I; ++i) to[o * s.I + i] = w[i] + c[o] * v[i];
  });
  return to;
}

std::size_t forward_lazy_workspace(const LinearSizes& s, Precision p) {
  return row_bytes(s.O) + weight_bytes(s, p) + forward_workspace(s, p);
}

std::size_t backward_input_lazy_workspace(const LinearSizes& s, Precision p) {
  return row_bytes(s.O) + weight_bytes(s, p) + backward_input_workspace(s, p);
}

void forward_lazy(const LinearSizes& s, Precision precision, const float* x,
                  const LazyWeight& weight, const float* bias, bool relu, float* y,
                  void* workspace) {
  const LinearTierKernels& k = linear_tier_kernels();
  float *const c = spread(s, weight, workspace), *const rest = c + padded(s.O);
  if (precision == Precision::bfloat16)
    return forward(s, precision, x, added_up(s, weight, c, rest), bias, relu, y,
                   rest + padded(s.O * s.I));
  if (s.N <= kFewRows)
    return k.forward_few_lazy(s.N, s.I, s.O, x, weight.w, weight.v, c, bias, relu, y);
  k.forward_lazy(s.N, s.I, s.O, x, weight.w, weight.v, c, bias, relu, y,
                 product_split(s.N, s.I, s.O), rest);
}

void backward_input_lazy(const LinearSizes& s, Precision precision, const float* dy,
                         const LazyWeight& weight, float* dx, void* workspace) {
  float *const c = spread(s, weight, workspace), *const rest = c + padded(s.O);
  if (precision == Precision::bfloat16)
    return backward_input(s, precision, dy, added_up(s, weight, c, rest), dx,
                          rest + padded(s.O * s.I));
  linear_tier_kernels().backward_input_lazy(s.N, s.I, s.O, dy, weight.w, weight.v, c, dx,
                                            product_split(s.N, s.O, s.I), rest);
}

}  // namespace

const kernels::LinearKernels& linear_kernels() {
  static constexpr kernels::LinearKernels table = {
      forward_workspace, backward_input_workspace, backward_weight_workspace,
      forward,           backward_input,           backward_weight};
  return table;
}

const kernels::LinearLazyKernels& linear_lazy_kernels() {
  static constexpr kernels::LinearLazyKernels table = {
      forward_lazy_workspace, backward_input_lazy_workspace, forward_lazy, backward_input_lazy};
  return table;
}

}  // namespace sentei::cpu
