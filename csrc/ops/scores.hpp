#pragma once
#include "core/tensor.hpp"

namespace sentei::ops {

// Per channel, sums over the samples of x (N, H, W, C) or (N, C), added to stats, float64 (6, C):
// |x|^2, x.g, (x.g)^2, |x|^4, (x.g)^3, (x.g)^4; and to the maps sum_x, sum_g, float64, shape of one
// sample. Without g rows 0 and 3 only. g is the gradient of each sample's own loss.
void score_accumulate(const Tensor& x, const Tensor* g, const Tensor& stats, const Tensor* sum_x,
                      const Tensor* sum_g, const Tensor& workspace);
// Per channel, sums over the samples of (x.mean_g)^2 and (x.mean_g)^4, added to stats (2, C).
void trace_accumulate(const Tensor& x, const Tensor& mean_g, const Tensor& stats,
                      const Tensor& workspace);

// Bytes of workspace; rows: sums per sample and channel (2, or 1 without g and for the trace).
std::int64_t score_workspace(const Shape& x, std::int64_t rows, Device device);

}  // namespace sentei::ops
