#pragma once
#include <cstdint>

#include "kernels/table.hpp"

namespace sentei::kernels {

// rng holds seed and step; element i is kept where its 24 random bits are below `threshold`.
struct DropoutKernels {
  // y = x factor where kept, else x 0
  void (*forward)(std::int64_t n, const float* x, const std::int64_t* rng, float* y,
                  std::uint32_t stream, std::uint32_t threshold, float factor);
  void (*mask)(std::int64_t n, const std::int64_t* rng, float* mask, std::uint32_t stream,
               std::uint32_t threshold);
  void (*scale)(std::int64_t n, const float* x, float* y, float factor);
  void (*mask_multiply)(std::int64_t n, const float* x, const float* mask, float* y, float factor);
};

}  // namespace sentei::kernels
SENTEI_KERNEL_TABLE(DropoutKernels, dropout_kernels)
