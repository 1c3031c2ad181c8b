#pragma once
#include <cstddef>
#include <cstdint>

#include "kernels/table.hpp"

namespace sentei::kernels {

struct ChannelScaleKernels {
  std::size_t (*workspace)(std::int64_t rows, std::int64_t C);
  void (*forward)(std::int64_t rows, std::int64_t C, const float* x, const float* m, float* y,
                  std::byte* workspace);
  void (*backward)(std::int64_t rows, std::int64_t C, const float* dy, const float* x,
                   const float* m, float* dx, float* dm, std::byte* workspace);
};

}  // namespace sentei::kernels
SENTEI_KERNEL_TABLE(ChannelScaleKernels, channel_scale_kernels)
