#pragma once
#include "core/tensor.hpp"

namespace sentei::ops {

// Updates the rows of the active group of w; see kernels/semi_sync.hpp. rows int32 (M,) lists the
// rows group by group, offsets int32 (G+1,) cuts that list, group int32 or int64 (1,) is the active
// one. workspace: uint8, 4 M bytes on the cpu, none elsewhere.
void semi_sync_update(const Tensor& w, const Tensor& dw, const Tensor* v, const Tensor& rows,
                      const Tensor& offsets, const Tensor& group, const Tensor& lr, double momentum,
                      double weight_decay, double l2, bool compact, const Tensor& workspace);

// counter = (counter + 1) mod modulo; modulo 0: no wrap. int32 or int64 (1,).
void counter_advance(const Tensor& counter, std::int64_t modulo);

}  // namespace sentei::ops
