// The checks of every elementwise op.
#pragma once
#include <cmath>

#include "ops/checks.hpp"

namespace sentei::ops {

inline void check_map(const char* op, const char* x_name, const Tensor& x, const char* y_name,
                      const Tensor& y) {
  check_float(op, x_name, x);
  check_float(op, y_name, y);
  check_shape(op, y_name, y, x.shape());
  check_same_or_apart(op, y_name, y, x_name, x);
}

inline void check_pair(const char* op, const char* a_name, const Tensor& a, const char* b_name,
                       const Tensor& b, const char* out_name, const Tensor& out) {
  check_float(op, b_name, b);
  check_map(op, a_name, a, out_name, out);
  check_shape(op, b_name, b, a.shape());
  check_same_or_apart(op, out_name, out, b_name, b);
}

// Slopes below 0 must keep the sign of x, or y could not tell the branch.
inline void check_not_negative(const char* op, const char* name, float value) {
  SENTEI_CHECK(ValueError, std::isfinite(value) && value >= 0.0f, op, ": ", name,
               " must be a finite number >= 0, got ", value);
}

}  // namespace sentei::ops
