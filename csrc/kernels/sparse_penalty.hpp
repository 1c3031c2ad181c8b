#pragma once
#include <cstddef>
#include <cstdint>

#include "kernels/table.hpp"

namespace sentei::kernels {

// u is n samples of `pixels` by c; partial: scratch of the bytes that `workspace` says.
struct SparsePenaltyKernels {
  std::size_t (*workspace)(std::int64_t n, std::int64_t pixels, std::int64_t c, bool channel);
  void (*forward)(std::int64_t n, std::int64_t pixels, std::int64_t c, bool channel, const float* u,
                  float* value, double scale, double* partial);
  void (*backward)(std::int64_t n, std::int64_t pixels, std::int64_t c, bool channel,
                   const float* u, const float* dvalue, float* du, double scale);
};

}  // namespace sentei::kernels
SENTEI_KERNEL_TABLE(SparsePenaltyKernels, sparse_penalty_kernels)
