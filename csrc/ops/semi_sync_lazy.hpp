#pragma once
#include "core/tensor.hpp"

namespace sentei::ops {

// See kernels/semi_sync_lazy.hpp. w, v (M, ...), coef float32 (G, 2); dw holds the active rows
// only; rows, offsets, group, workspace as for semi_sync_update.
void semi_sync_update_lazy(const Tensor& w, const Tensor& dw, const Tensor& v, const Tensor& coef,
                           const Tensor& rows, const Tensor& offsets, const Tensor& group,
                           const Tensor& lr, double momentum, double weight_decay, double l2,
                           const Tensor& workspace);
// w += c v, v *= m on all rows, and coef back to (1, 0). group_of (M,) int32.
void semi_sync_materialise(const Tensor& w, const Tensor& v, const Tensor& coef,
                           const Tensor& group_of);
// out = w + c v.
void semi_sync_lazy_weight(const Tensor& w, const Tensor& v, const Tensor& coef,
                           const Tensor& group_of, const Tensor& out);

}  // namespace sentei::ops
