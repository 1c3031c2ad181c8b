// Convolution with a filter that was packed before, for networks whose filters stay as they are:
// what kernels/conv2d.hpp does in every call, packing the filter into the order in which its kernel
// reads it, is done once. On the CPU only; the bits are those of conv2d_kernels().forward.
#pragma once
#include <cstddef>

#include "core/precision.hpp"
#include "ops/conv2d_geometry.hpp"

namespace sentei::kernels {

// The order belongs to the method, the geometry (of any N) and the precision.
struct Conv2dPacking {
  const char* method;
  std::size_t bytes;  // of the packed filter; 0: this convolution does without
  std::size_t workspace;
};

struct Conv2dPackedKernels {
  Conv2dPacking (*packing)(const Conv2dGeometry& g, Precision precision);
  // Both only where bytes > 0; packed and workspace aligned to 64.
  void (*pack)(const Conv2dGeometry& g, Precision precision, const float* w, void* packed);
  void (*forward)(const Conv2dGeometry& g, Precision precision, const float* x, const void* packed,
                  const float* bias, bool relu, float* y, void* workspace);
};

}  // namespace sentei::kernels

namespace sentei::cpu {
const kernels::Conv2dPackedKernels& conv2d_packed_kernels();
}  // namespace sentei::cpu
