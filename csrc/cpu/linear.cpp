#include "cpu/linear.hpp"

#include <algorithm>

#include "cpu/column_sum.hpp"
#include "cpu/gemm_types.hpp"
#include "cpu/isa.hpp"

namespace sentei::cpu {

SENTEI_KERNEL_TABLE(LinearKernels, linear_kernels)

namespace {

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

}  // namespace

std::size_t linear_forward_workspace(int64_t N, int64_t I, int64_t O) {
  return N <= kFewRows ? 0 : bytes(product_split(N, I, O), padded(O));
}

void linear_forward(int64_t N, int64_t I, int64_t O, const float* x, const float* w,
                    const float* bias, bool relu, float* y, void* workspace) {
  if (N <= kFewRows) return linear_kernels().forward_few(N, I, O, x, w, bias, relu, y);
  linear_kernels().forward(N, I, O, x, w, bias, relu, y, product_split(N, I, O),
                           static_cast<float*>(workspace));
}

std::size_t linear_backward_input_workspace(int64_t N, int64_t I, int64_t O) {
  return bytes(product_split(N, O, I), padded(I));
}

void linear_backward_input(int64_t N, int64_t I, int64_t O, const float* dy, const float* w,
                           float* dx, void* workspace) {
  linear_kernels().backward_input(N, I, O, dy, w, dx, product_split(N, O, I),
                                  static_cast<float*>(workspace));
}

std::size_t linear_backward_weight_workspace(int64_t N, int64_t I, int64_t O) {
  // dy is packed in blocks of at most 12. Fewer rows may mean fewer slots, never more.
  return bytes(weight_split(N, I, O), N * padded(O + kPad));
}

void linear_backward_weight(int64_t N, int64_t I, int64_t O, const float* x, const float* dy,
                            float* dw, const std::int32_t* rows, int64_t row_count,
                            void* workspace) {
  const int64_t count = rows ? row_count : O;
  if (count == 0) return;
  linear_kernels().backward_weight(N, I, O, x, dy, dw, rows, count, weight_split(N, I, count),
                                   static_cast<float*>(workspace));
}

std::size_t linear_backward_bias_workspace(int64_t N, int64_t O) {
  return column_sum_workspace(N, O);
}

void linear_backward_bias(int64_t N, int64_t O, const float* dy, float* db, void* workspace) {
  column_sum(N, O, dy, db, workspace);
}

}  // namespace sentei::cpu
