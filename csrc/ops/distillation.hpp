#pragma once
#include "core/tensor.hpp"

namespace sentei::ops {

// logits, teacher (N, K), labels int64 (N,) -> as softmax_cross_entropy_forward, but of the loss
// (1 - alpha) CE + alpha T^2 KL(softmax(teacher / T) || softmax(logits / T)).
void distillation_forward(const Tensor& logits, const Tensor& labels, const Tensor& teacher,
                          const Tensor& loss, const Tensor& per_sample, const Tensor& dlogits,
                          const Tensor& correct, bool mean, float alpha, float temperature);

}  // namespace sentei::ops
