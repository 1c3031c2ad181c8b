#pragma once
#include <string>

#include "core/tensor.hpp"

namespace sentei::ops {

// See kernels/semi_sync_adaptive.hpp. rule "adagrad" and "rmsprop": state h; "adam": first moment
// h, second moment v, count int64 (M,). beta1: alpha of rmsprop. w, dw, rows, offsets, group,
// workspace as for semi_sync_update.
void semi_sync_adaptive_update(const Tensor& w, const Tensor& dw, const Tensor& h, const Tensor* v,
                               const Tensor* count, const Tensor& rows, const Tensor& offsets,
                               const Tensor& group, const Tensor& lr, const std::string& rule,
                               double beta1, double beta2, double eps, bool eps_inside,
                               double weight_decay, double l2, bool compact,
                               const Tensor& workspace);

}  // namespace sentei::ops
