// Linear layers on the CPU. float32, x (N, I), w (O, I), y (N, O), all contiguous. Each pass takes
// a workspace of at least <pass>_workspace bytes, aligned to 64; it need not be cleared. Results
// are overwritten, never added to. Bits do not depend on the number of threads.
#pragma once
#include <cstddef>
#include <cstdint>

namespace sentei::cpu {

// y = x w^T + bias, then max(y, 0) if relu; bias (O) may be null.
std::size_t linear_forward_workspace(std::int64_t N, std::int64_t I, std::int64_t O);
void linear_forward(std::int64_t N, std::int64_t I, std::int64_t O, const float* x, const float* w,
                    const float* bias, bool relu, float* y, void* workspace);

// dx = dy w
std::size_t linear_backward_input_workspace(std::int64_t N, std::int64_t I, std::int64_t O);
void linear_backward_input(std::int64_t N, std::int64_t I, std::int64_t O, const float* dy,
                           const float* w, float* dx, void* workspace);

// dw = dy^T x. With `rows` only those rows of dw are computed and dw is (row_count, I); the
// workspace for all rows is enough for any of them.
std::size_t linear_backward_weight_workspace(std::int64_t N, std::int64_t I, std::int64_t O);
void linear_backward_weight(std::int64_t N, std::int64_t I, std::int64_t O, const float* x,
                            const float* dy, float* dw, const std::int32_t* rows,
                            std::int64_t row_count, void* workspace);

// db[o] = sum over n of dy[n][o]
std::size_t linear_backward_bias_workspace(std::int64_t N, std::int64_t O);
void linear_backward_bias(std::int64_t N, std::int64_t O, const float* dy, float* db,
                          void* workspace);

// The cut of a product (rows x depth) by (depth x columns) into tasks: panels of columns by bands
// of rows. A slot runs its tasks one after the other and packs each panel into scratch of its own.
struct LinearSplit {
  std::int64_t panels, bands, slots, scratch_floats;
};

struct LinearKernels {
  void (*forward)(std::int64_t N, std::int64_t I, std::int64_t O, const float* x, const float* w,
                  const float* bias, bool relu, float* y, LinearSplit split, float* workspace);
  void (*forward_few)(std::int64_t N, std::int64_t I, std::int64_t O, const float* x,
                      const float* w, const float* bias, bool relu, float* y);
  void (*backward_input)(std::int64_t N, std::int64_t I, std::int64_t O, const float* dy,
                         const float* w, float* dx, LinearSplit split, float* workspace);
  void (*backward_weight)(std::int64_t N, std::int64_t I, std::int64_t O, const float* x,
                          const float* dy, float* dw, const std::int32_t* rows,
                          std::int64_t row_count, LinearSplit split, float* workspace);
};

constexpr std::int64_t kLinearDepth = 1024;  // of a packed panel: 256 KB in the L2 cache
constexpr std::int64_t kLinearChunk = 512;   // rows of x that one sum of the weight gradient takes

}  // namespace sentei::cpu
