#pragma once
#include <cstdint>

#include "kernels/table.hpp"

namespace sentei::kernels {

constexpr std::int64_t kSparseBlock = 16384;  // neuron form: elements per task
constexpr std::int64_t kSparseChannels = 64;  // channel form: channels per task, one sample

// Tasks, each with one partial sum, of n samples of `pixels` by c.
inline std::int64_t sparse_penalty_tasks(std::int64_t n, std::int64_t pixels, std::int64_t c,
                                         bool channel) {
  return channel ? n * ((c + kSparseChannels - 1) / kSparseChannels)
                 : (n * pixels * c + kSparseBlock - 1) / kSparseBlock;
}

struct SparsePenaltyKernels {
  void (*forward)(std::int64_t n, std::int64_t pixels, std::int64_t c, bool channel, const float* u,
                  float* value, double scale, double* partial);
  void (*backward)(std::int64_t n, std::int64_t pixels, std::int64_t c, bool channel,
                   const float* u, const float* dvalue, float* du, double scale);
};

}  // namespace sentei::kernels
SENTEI_KERNEL_TABLE(SparsePenaltyKernels, sparse_penalty_kernels)
