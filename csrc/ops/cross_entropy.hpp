#pragma once
#include "core/tensor.hpp"

namespace sentei::ops {

// logits (N, K), labels int64 (N,) -> loss (1,): mean (or sum) over samples, 0 for none; per_sample
// (N,); dlogits (N, K): gradient of each sample's own loss; correct int64 (1,).
void softmax_cross_entropy_forward(const Tensor& logits, const Tensor& labels, const Tensor& loss,
                                   const Tensor& per_sample, const Tensor& dlogits,
                                   const Tensor& correct, bool mean);
// The same with a sigmoid per class, summed over the classes.
void sigmoid_cross_entropy_forward(const Tensor& logits, const Tensor& labels, const Tensor& loss,
                                   const Tensor& per_sample, const Tensor& dlogits,
                                   const Tensor& correct, bool mean);

}  // namespace sentei::ops
