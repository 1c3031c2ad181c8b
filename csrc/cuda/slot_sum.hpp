// out[i] = sum over slots of partials[slot][i], in fixed order, then bias and ReLU: the second
// stage of every sum that was split over blocks.
#pragma once
#include <cstdint>

#include "kernels/linear.hpp"

namespace sentei::cuda {

struct SlotSum {
  const float* partials;  // (slots, n)
  int slots;
  std::int64_t n, columns;  // of out
  const float* bias;        // (columns) or null
  bool relu;
  float* out;
  // Rows of out past the active group stay as they are; `active.rows` may be null: all rows.
  kernels::ActiveRows active;
  std::int64_t all_rows;
};

void sum_slots(const SlotSum& s);

}  // namespace sentei::cuda
