#pragma once
#include <cstdint>

#include "kernels/table.hpp"

namespace sentei::kernels {

struct DistillationKernels {
  // per_sample (n) and dlogits (n, k) hold a loss h of each sample and its gradient; they become
  // (1 - alpha) h + alpha T^2 KL(softmax(teacher / T) || softmax(logits / T)) and its gradient.
  // loss (1): the sum of the new per_sample, or its mean.
  void (*mix)(std::int64_t n, std::int64_t k, const float* logits, const float* teacher,
              float alpha, float temperature, bool mean, float* loss, float* per_sample,
              float* dlogits);
};

}  // namespace sentei::kernels
SENTEI_KERNEL_TABLE(DistillationKernels, distillation_kernels)
