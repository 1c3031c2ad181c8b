// Convolution, and the statistics of its result for the batch norm behind it. Tensors and workspace
// as in kernels/conv2d.hpp; y has the bits of conv2d_kernels().forward. There is at least one
// pixel.
#pragma once
#include <cstddef>

#include "core/precision.hpp"
#include "kernels/table.hpp"
#include "ops/conv2d_geometry.hpp"

namespace sentei::kernels {

struct Conv2dStatisticsKernels {
  std::size_t (*workspace)(const Conv2dGeometry& g, Precision precision);
  // y = conv(x, w) + bias; mean and biased variance (K) over the pixels of y. bias may be null.
  void (*forward)(const Conv2dGeometry& g, Precision precision, const float* x, const float* w,
                  const float* bias, float* y, float* mean, float* var, void* workspace);
};

}  // namespace sentei::kernels
SENTEI_KERNEL_TABLE(Conv2dStatisticsKernels, conv2d_statistics_kernels)
