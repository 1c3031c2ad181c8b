#pragma once
#include "core/tensor.hpp"

namespace sentei::ops {

// log[at] = (total, loss, correct);  at = (at + 1) % rows. Shapes (1,); log (rows, 3) float64.
void record_append(const Tensor& total, const Tensor& loss, const Tensor* correct,
                   const Tensor& log, const Tensor& at);

}  // namespace sentei::ops
