#pragma once
#include <cstdint>

#include "kernels/table.hpp"

namespace sentei::kernels {

struct CrossEntropyKernels {
  // loss (1): sum of per_sample (n), or its mean; dlogits (n, k), the gradient of each sample's own
  // loss; correct (1): how many samples have their largest logit (the first of equals) at the
  // label. The CPU's labels lie in [0, k); on other devices one that does not makes its sample NaN.
  void (*softmax)(std::int64_t n, std::int64_t k, const float* logits, const std::int64_t* labels,
                  bool mean, float* loss, float* per_sample, float* dlogits, std::int64_t* correct);
  void (*sigmoid)(std::int64_t n, std::int64_t k, const float* logits, const std::int64_t* labels,
                  bool mean, float* loss, float* per_sample, float* dlogits, std::int64_t* correct);
};

}  // namespace sentei::kernels
SENTEI_KERNEL_TABLE(CrossEntropyKernels, cross_entropy_kernels)
