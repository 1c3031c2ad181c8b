// Linear layers whose weight is kept lazily: row o of the weight that counts is w[o] + c v[o],
// where c is that of the row's group. float32, x (N, I), w and v (O, I), y (N, O), all contiguous.
// Workspaces as in kernels/linear.hpp.
#pragma once
#include "kernels/linear.hpp"

namespace sentei::kernels {

struct LazyWeight {
  const float *w, *v;
  const float* coef;  // (groups, 2): m, c of each group; not read on the host
  const std::int32_t*
      group_of;         // (rows); the CPU's are checked, elsewhere one that is out of range
  std::int64_t groups;  // gives NaN
};

struct LinearLazyKernels {
  using Workspace = std::size_t (*)(const LinearSizes& s, Precision precision);
  Workspace forward_workspace, backward_input_workspace;
  // y = x (w + c v)^T + bias, then max(y, 0) if relu; bias (O) may be null.
  void (*forward)(const LinearSizes& s, Precision precision, const float* x,
                  const LazyWeight& weight, const float* bias, bool relu, float* y,
                  void* workspace);
  // dx = dy (w + c v)
  void (*backward_input)(const LinearSizes& s, Precision precision, const float* dy,
                         const LazyWeight& weight, float* dx, void* workspace);
};

}  // namespace sentei::kernels
SENTEI_KERNEL_TABLE(LinearLazyKernels, linear_lazy_kernels)
