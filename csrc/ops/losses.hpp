#pragma once
#include <string>

#include "core/tensor.hpp"

namespace sentei::ops {

// y, t (N, ...) -> loss (1,): mean (or sum) over samples, 0 for none; per_sample (N,): sums over
// outputs; grad (N, ...): gradient of each sample's own loss in y.
void elementwise_loss_forward(const Tensor& y, const Tensor& t, const Tensor& loss,
                              const Tensor& per_sample, const Tensor& grad, const std::string& kind,
                              double parameter, bool mean);
// dx = grad dloss, divided by the number of samples if mean; dloss (1,). dx may be grad.
void loss_backward(const Tensor& grad, const Tensor& dloss, const Tensor& dx, bool mean);

}  // namespace sentei::ops
