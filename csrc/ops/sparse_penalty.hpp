#pragma once
#include <string>
#include <vector>

#include "core/tensor.hpp"

namespace sentei::ops {

// value (1,) = lam / (N D) sum of log(1 + u^2), or per channel of log(1 + |u|^2); form is "neuron"
// or "channel"; u (N, ..., C), D = its elements per sample.
std::size_t sparse_penalty_workspace(const std::vector<std::int64_t>& shape,
                                     const std::string& form, Device device);  // bytes
void sparse_penalty_forward(const Tensor& u, const Tensor& value, double lam,
                            const std::string& form, const Tensor& workspace);
// du may be u.
void sparse_penalty_backward(const Tensor& u, const Tensor& dvalue, const Tensor& du, double lam,
                             const std::string& form);

}  // namespace sentei::ops
