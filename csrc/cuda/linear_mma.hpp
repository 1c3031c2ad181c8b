// Linear layers on tensor cores: the functions of kernels::LinearKernels for tf32 and bfloat16.
#pragma once
#include "kernels/linear.hpp"

namespace sentei::cuda {

std::size_t linear_mma_forward_workspace(const kernels::LinearSizes& s, Precision precision);
std::size_t linear_mma_backward_input_workspace(const kernels::LinearSizes& s, Precision precision);
std::size_t linear_mma_backward_weight_workspace(const kernels::LinearSizes& s,
                                                 Precision precision);
void linear_mma_forward(const kernels::LinearSizes& s, Precision precision, const float* x,
                        const float* w, const float* bias, bool relu, float* y, void* workspace);
void linear_mma_backward_input(const kernels::LinearSizes& s, Precision precision, const float* dy,
                               const float* w, float* dx, void* workspace);
// With `active` its columns of dy are copied side by side first. A group that does not exist, and
// one with more rows than `most`, stay in bounds: no rows, the first `most`; a row that does not
// exist yields NaN.
void linear_mma_backward_weight(const kernels::LinearSizes& s, Precision precision, const float* x,
                                const float* dy, float* dw, const kernels::ActiveRows* active,
                                void* workspace);

}  // namespace sentei::cuda
