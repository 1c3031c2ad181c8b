#include "ops/fill.hpp"

#include <algorithm>

#include "ops/checks.hpp"

namespace sentei::ops {

void fill_forward(const Tensor& y, float value) {
  check_float("fill_forward", "y", y);
  check_writable("fill_forward", "y", y);
  std::fill_n(y.data<float>(), y.size(), value);
}

}  // namespace sentei::ops
