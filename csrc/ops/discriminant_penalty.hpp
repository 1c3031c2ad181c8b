#pragma once
#include "core/tensor.hpp"

namespace sentei::ops {

std::size_t discriminant_penalty_workspace(std::int64_t classes);  // bytes, of both functions

// y (N, K), labels int64 (N,) -> value (1,) = lam sum_k W_k / T_k; W, T, ratio (K,).
void discriminant_penalty_forward(const Tensor& y, const Tensor& labels, const Tensor& value,
                                  const Tensor& within, const Tensor& total, const Tensor& ratio,
                                  double lam, const Tensor& workspace);
void discriminant_penalty_backward(const Tensor& y, const Tensor& labels, const Tensor& dvalue,
                                   const Tensor& dy, double lam, const Tensor& workspace);

}  // namespace sentei::ops
