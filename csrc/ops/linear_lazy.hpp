// Fully connected layer whose weight is w + c v, c by the row's group: see kernels/linear_lazy.hpp.
#pragma once
#include <string>

#include "core/precision.hpp"
#include "core/tensor.hpp"
#include "kernels/linear_lazy.hpp"

namespace sentei::ops {

// w, v (rows, ...), coef (G, 2), group_of (rows,) int32; its entries are checked on the cpu.
kernels::LazyWeight lazy_weight(const char* op, const Tensor& w, const Tensor& v,
                                const Tensor& coef, const Tensor& group_of, Device device);

std::size_t linear_lazy_workspace(const std::string& pass, std::int64_t n, std::int64_t i,
                                  std::int64_t o, Precision precision, Device device);
void linear_lazy_forward(const Tensor& x, const Tensor& w, const Tensor& v, const Tensor& coef,
                         const Tensor& group_of, const Tensor* b, const Tensor& y,
                         const Tensor* workspace, bool relu, Precision precision);
void linear_lazy_backward_input(const Tensor& dy, const Tensor& w, const Tensor& v,
                                const Tensor& coef, const Tensor& group_of, const Tensor& dx,
                                const Tensor* workspace, Precision precision);

}  // namespace sentei::ops
