// Fully connected layer: x (N, I), w (O, I), y (N, O).
#pragma once
#include <string>

#include "core/precision.hpp"
#include "core/tensor.hpp"

namespace sentei::ops {

std::size_t linear_workspace(const std::string& pass, std::int64_t n, std::int64_t i,
                             std::int64_t o, Precision precision, Device device);
void linear_forward(const Tensor& x, const Tensor& w, const Tensor* b, const Tensor& y,
                    const Tensor* workspace, bool relu, Precision precision);
void linear_backward_input(const Tensor& dy, const Tensor& w, const Tensor& dx,
                           const Tensor* workspace, Precision precision);
void linear_backward_weight(const Tensor& x, const Tensor& dy, const Tensor& dw,
                            const Tensor* workspace, Precision precision);
// dw (largest group, I): rows[offsets[group]...] of the weight gradient, the rest left alone.
void linear_backward_weight_rows(const Tensor& x, const Tensor& dy, const Tensor& rows,
                                 const Tensor& offsets, const Tensor& group, const Tensor& dw,
                                 const Tensor* workspace, Precision precision);

}  // namespace sentei::ops
