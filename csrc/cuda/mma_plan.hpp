// How a product (m, depth) (depth, n) is cut for tensor cores, and the passes around it.
#pragma once
#include <cstddef>
#include <cstdint>

#include "core/precision.hpp"
#include "kernels/linear.hpp"

namespace sentei::cuda {

struct MmaSumParams;
struct MmaWeightParams;
struct MmaRowLimit;

enum class MmaShape { t128x128, t128x64, t64x64, t64x32 };  // results per block

struct MmaPlan {
  MmaShape shape;
  unsigned tiles;            // blocks of one part and slot
  int slots;                 // parts of the depth, summed in their order afterwards
  std::int64_t slot_floats;  // one slot's sums; 0 with a single slot
};

constexpr int mma_rows(MmaShape s) {
  return s == MmaShape::t128x128 || s == MmaShape::t128x64 ? 128 : 64;
}
constexpr int mma_vector(Precision p) { return p == Precision::bfloat16 ? 8 : 4; }
constexpr int mma_depth(Precision p) { return p == Precision::bfloat16 ? 64 : 32; }

// Depends on sizes alone, so that every GPU gives the same bits. `parts` products of this size run
// side by side; `floats` results in all.
MmaPlan mma_sum_plan(std::int64_t m, std::int64_t n, std::int64_t steps, int parts,
                     std::int64_t floats);
MmaPlan mma_weight_plan(std::int64_t m, std::int64_t n, std::int64_t steps, std::int64_t floats,
                        int most_slots = 256);

void launch_mma_forward(const char* name, Precision precision, const MmaPlan& plan,
                        const MmaSumParams& p);
// With p.moments, of which launch_mma_forward knows nothing.
void launch_mma_statistics(const char* name, Precision precision, const MmaPlan& plan,
                           const MmaSumParams& p);
void launch_mma_backward_input(const char* name, Precision precision, const MmaPlan& plan,
                               int parts, const MmaSumParams& p);
void launch_mma_backward_weight(const char* name, Precision precision, const MmaPlan& plan,
                                const MmaWeightParams& p);

// y (rows, padded C) = x (rows, C) as bfloat16, zeros behind; two tensors in one launch.
struct MmaCast {
  const float* x;
  std::uint16_t* y;
  std::int64_t rows;
  int C, padded;
};
void launch_mma_cast(const char* name, const MmaCast& a, const MmaCast& b);

// y (N, padded) = the active rows' columns of dy (N, O), zeros behind them.
void launch_mma_gather(const char* name, Precision precision, const kernels::ActiveRows& active,
                       const MmaRowLimit& limit, std::int64_t N, std::int64_t O, int rows,
                       int padded, const float* dy, void* y);

// y = sum of slots in their order + bias (K or null), then max(y, 0) if relu. With a limit only
// its rows of `row_floats`.
void launch_mma_slot_sum(const char* name, const MmaPlan& plan, std::int64_t floats,
                         const float* partial, const float* bias, int K, bool relu, float* y,
                         const MmaRowLimit& limit, std::int64_t row_floats);

}  // namespace sentei::cuda
