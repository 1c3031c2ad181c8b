#pragma once
#include <vector>

#include "core/tensor.hpp"

namespace sentei::ops {

// y = xs joined along the last axis; all other axes agree.
void concat_forward(const std::vector<Tensor>& xs, const Tensor& y);
// The inverse for two parts: x cut after the channels of head.
void channel_split_forward(const Tensor& x, const Tensor& head, const Tensor& rest);

}  // namespace sentei::ops
