#pragma once
#include <vector>

#include "core/tensor.hpp"

namespace sentei::ops {

// For every layer of `rows` - w, dw (K, ...), float32, and where `bias` says so b, db (K,) - and
// every k: v = sum w[k] dw[k] + b[k] db[k]; stats[0] += v, stats[1] += v^2. stats: float64
// (2, sum of the K), layers in order.
void score_from_gradients(const Tensor& stats, const std::vector<Tensor>& rows,
                          const std::vector<bool>& bias);

}  // namespace sentei::ops
