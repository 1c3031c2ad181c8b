#include "ops/fill.hpp"

#include "kernels/fill.hpp"
#include "ops/checks.hpp"

namespace sentei::ops {

void fill_forward(const Tensor& y, float value) {
  check_float("fill_forward", "y", y);
  check_writable("fill_forward", "y", y);
  kernels::fill_kernels(y.device()).forward(y.size(), y.data<float>(), value);
}

}  // namespace sentei::ops
