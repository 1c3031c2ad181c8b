#pragma once
#include "core/tensor.hpp"

namespace sentei::ops {

std::size_t bias_workspace(std::int64_t rows, std::int64_t columns, Device device);

// db[k] = sum of dy over all axes but the last; for convolution and linear layers alike.
void bias_backward(const Tensor& dy, const Tensor& db, const Tensor* workspace);

}  // namespace sentei::ops
