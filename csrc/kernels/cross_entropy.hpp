#pragma once
#include <cstdint>

#include "kernels/table.hpp"

namespace sentei::kernels {

struct CrossEntropyKernels {
  // per_sample (n) and dlogits (n, k), the gradient of each sample's own loss; returns how many
  // samples have their largest logit (the first of equals) at the label.
  std::int64_t (*softmax)(std::int64_t n, std::int64_t k, const float* logits,
                          const std::int64_t* labels, float* per_sample, float* dlogits);
  std::int64_t (*sigmoid)(std::int64_t n, std::int64_t k, const float* logits,
                          const std::int64_t* labels, float* per_sample, float* dlogits);
};

}  // namespace sentei::kernels
SENTEI_KERNEL_TABLE(CrossEntropyKernels, cross_entropy_kernels)
