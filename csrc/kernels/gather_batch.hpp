#pragma once
#include <cstdint>

#include "kernels/table.hpp"

namespace sentei::kernels {

// plan (B, 4): image, rows and columns it is moved up and left by, whether it is mirrored.
// x[b,h,w,c] = images[image, h + rows, v + columns, c] * scale[c] + shift[c], v = W - 1 - w where
// mirrored; pixels outside are 0. Product and sum are rounded each. Rows of the plan that name no
// image give NaN.
struct GatherBatchKernels {
  void (*bytes)(std::int64_t n, std::int64_t b, int h, int w, int c, const std::uint8_t* images,
                const std::int32_t* plan, const float* scale, const float* shift, float* x);
  void (*floats)(std::int64_t n, std::int64_t b, int h, int w, int c, const float* images,
                 const std::int32_t* plan, const float* scale, const float* shift, float* x);
};

}  // namespace sentei::kernels
SENTEI_KERNEL_TABLE(GatherBatchKernels, gather_batch_kernels)
