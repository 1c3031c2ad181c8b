// What the semi-synchronous updates check alike.
#pragma once
#include <cmath>

#include "kernels/semi_sync.hpp"
#include "ops/checks.hpp"

namespace sentei::ops {

inline void check_counter(const char* op, const char* name, const Tensor& t) {
  SENTEI_CHECK(DTypeError, t.dtype() == DType::i32 || t.dtype() == DType::i64, op, ": ", name,
               " must be int32 or int64, got ", t.dtype());
  check_shape(op, name, t, Shape{1});
}

inline std::int64_t counter_value(const Tensor& t) {
  return t.dtype() == DType::i32 ? *t.data<std::int32_t>() : *t.data<std::int64_t>();
}

inline void check_index_list(const char* op, const char* name, const Tensor& t) {
  check_dtype(op, name, t, DType::i32);
  check_rank(op, name, t, 1);
}

// Per row its index in the active group, or -1, once all indices are seen to be in range.
inline void fill_place(const char* op, const kernels::SemiSyncRows& r, const Tensor& group,
                       std::int32_t* place) {
  const std::int64_t m = r.count, active = counter_value(group);
  SENTEI_CHECK(ValueError, active >= 0 && active < r.groups, op, ": group must lie in [0, ",
               r.groups, "), got ", active);
  const std::int64_t begin = r.offsets[active], end = r.offsets[active + 1];
  SENTEI_CHECK(ValueError, 0 <= begin && begin <= end && end <= m, op,
               ": offsets must rise within [0, ", m, "], got ", begin, " to ", end, " for group ",
               active);
  SENTEI_CHECK(ShapeError, end - begin <= r.dw_rows, op, ": dw must have a row for each of the ",
               end - begin, " active rows, got ", r.dw_rows);
  const std::int32_t* list = r.rows + begin;
  for (std::int64_t i = 0; i < m; ++i) place[i] = -1;
  for (std::int64_t k = 0; k < end - begin; ++k) {
    const std::int64_t row = list[k];
    SENTEI_CHECK(ValueError, row >= 0 && row < m, op, ": rows must lie in [0, ", m, "), got ", row);
    // Two tasks would write it at once.
    SENTEI_CHECK(ValueError, place[row] < 0, op, ": rows must list every row once, got ", row,
                 " twice");
    place[row] = static_cast<std::int32_t>(k);
  }
}

// Momentum belongs to v: without it there is none.
inline void check_rates(const char* op, double momentum, bool with_v, double weight_decay,
                        double l2) {
  SENTEI_CHECK(ValueError, momentum >= 0 && momentum < 1, op, ": momentum must lie in [0, 1), got ",
               momentum);
  SENTEI_CHECK(ValueError, with_v || momentum == 0, op, ": momentum must be 0 without v, got ",
               momentum);
  SENTEI_CHECK(ValueError, weight_decay >= 0 && std::isfinite(weight_decay), op,
               ": weight_decay must be at least 0 and finite, got ", weight_decay);
  SENTEI_CHECK(ValueError, l2 >= 0 && std::isfinite(l2), op,
               ": l2 must be at least 0 and finite, got ", l2);
}

}  // namespace sentei::ops
