// The convolution, then a pass over its result while the caches still hold some of it.
#include "kernels/conv2d_statistics.hpp"

#include <algorithm>

#include "cpu/column_statistics.hpp"
#include "cpu/isa.hpp"
#include "kernels/conv2d.hpp"

namespace sentei::cpu {

SENTEI_PICK_TIER(ColumnStatisticsKernels, column_statistics_kernels)

namespace {

std::int64_t rows_of(const Conv2dGeometry& g) { return g.N * g.P * g.Q; }

// One after the other in the same memory.
std::size_t workspace(const Conv2dGeometry& g, Precision precision) {
  return std::max(conv2d_kernels().forward_workspace(g, precision),
                  column_statistics_kernels().workspace(rows_of(g), g.K));
}

void forward(const Conv2dGeometry& g, Precision precision, const float* x, const float* w,
             const float* bias, float* y, float* mean, float* var, void* workspace) {
  conv2d_kernels().forward(g, precision, x, w, bias, false, y, workspace);
  column_statistics_kernels().run(rows_of(g), g.K, y, mean, var,
                                  static_cast<std::byte*>(workspace));
}

}  // namespace

const kernels::Conv2dStatisticsKernels& conv2d_statistics_kernels() {
  static constexpr kernels::Conv2dStatisticsKernels table = {workspace, forward};
  return table;
}

}  // namespace sentei::cpu
