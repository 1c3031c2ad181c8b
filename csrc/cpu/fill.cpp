#include "kernels/fill.hpp"

#include <algorithm>

namespace sentei::cpu {
namespace {

void forward(std::int64_t n, float* y, float value) { std::fill_n(y, n, value); }

}  // namespace

const kernels::FillKernels& fill_kernels() {
  static constexpr kernels::FillKernels table = {forward};
  return table;
}

}  // namespace sentei::cpu
