// Linear layers. float32, x (N, I), w (O, I), y (N, O), all contiguous. Each pass takes a workspace
// of at least <pass>_workspace bytes, aligned to 64; it need not be cleared. Results are
// overwritten, never added to.
#pragma once
#include <cstddef>
#include <cstdint>

#include "core/precision.hpp"
#include "kernels/table.hpp"

namespace sentei::kernels {

struct LinearSizes {
  std::int64_t N, I, O;
};

// The rows of the active group: rows[offsets[group] .. offsets[group + 1]), at most `most` of them.
// All three are the device's memory: the group, of `groups`, changes from step to step.
struct ActiveRows {
  const std::int32_t *rows, *offsets, *group;
  std::int64_t most, groups;
};

struct LinearKernels {
  using Workspace = std::size_t (*)(const LinearSizes& s, Precision precision);
  Workspace forward_workspace, backward_input_workspace, backward_weight_workspace;
  // y = x w^T + bias, then max(y, 0) if relu; bias (O) may be null.
  void (*forward)(const LinearSizes& s, Precision precision, const float* x, const float* w,
                  const float* bias, bool relu, float* y, void* workspace);
  // dx = dy w
  void (*backward_input)(const LinearSizes& s, Precision precision, const float* dy, const float* w,
                         float* dx, void* workspace);
  // dw = dy^T x. With `active` only those rows are computed, compactly in the order of the list;
  // the workspace is that of a layer with active->most outputs.
  void (*backward_weight)(const LinearSizes& s, Precision precision, const float* x,
                          const float* dy, float* dw, const ActiveRows* active, void* workspace);
};

}  // namespace sentei::kernels
SENTEI_KERNEL_TABLE(LinearKernels, linear_kernels)
