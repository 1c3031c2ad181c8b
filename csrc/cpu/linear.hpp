// What the tiers provide for linear layers.
#pragma once
#include <cstddef>
#include <cstdint>

namespace sentei::cpu {

// The cut of a product (rows x depth) by (depth x columns) into tasks: panels of columns by bands
// of rows. A slot runs its tasks one after the other and packs each panel into scratch of its own.
struct LinearSplit {
  std::int64_t panels, bands, slots, scratch_floats;
};

struct LinearTierKernels {
  void (*forward)(std::int64_t N, std::int64_t I, std::int64_t O, const float* x, const float* w,
                  const float* bias, bool relu, float* y, LinearSplit split, float* workspace);
  void (*forward_few)(std::int64_t N, std::int64_t I, std::int64_t O, const float* x,
                      const float* w, const float* bias, bool relu, float* y);
  // w is rounded to bfloat16 while it is read, x has been.
  void (*forward_few_rounded)(std::int64_t N, std::int64_t I, std::int64_t O, const float* x,
                              const float* w, const float* bias, bool relu, float* y);
  void (*backward_input)(std::int64_t N, std::int64_t I, std::int64_t O, const float* dy,
                         const float* w, float* dx, LinearSplit split, float* workspace);
  void (*backward_weight)(std::int64_t N, std::int64_t I, std::int64_t O, const float* x,
                          const float* dy, float* dw, const std::int32_t* rows,
                          std::int64_t row_count, LinearSplit split, float* workspace);
  // With w[o] + c[o] v[o] in the place of row o of w.
  void (*forward_lazy)(std::int64_t N, std::int64_t I, std::int64_t O, const float* x,
                       const float* w, const float* v, const float* c, const float* bias, bool relu,
                       float* y, LinearSplit split, float* workspace);
  void (*forward_few_lazy)(std::int64_t N, std::int64_t I, std::int64_t O, const float* x,
                           const float* w, const float* v, const float* c, const float* bias,
                           bool relu, float* y);
  void (*backward_input_lazy)(std::int64_t N, std::int64_t I, std::int64_t O, const float* dy,
                              const float* w, const float* v, const float* c, float* dx,
                              LinearSplit split, float* workspace);
};

constexpr std::int64_t kLinearDepth = 1024;  // of a packed panel: 256 KB in the L2 cache
constexpr std::int64_t kLinearChunk = 512;   // rows of x that one sum of the weight gradient takes

}  // namespace sentei::cpu
