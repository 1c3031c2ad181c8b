// Linear layers: convolutions of 1 x 1 images with 1 x 1 filters, by the same kernels. The rows of
// the active group are gathered in the kernel of dw.
#include <algorithm>

#include "cuda/conv2d_simt.hpp"
#include "cuda/linear_mma.hpp"
#include "cuda/table.cuh"
#include "kernels/linear.hpp"

namespace sentei::cuda {
namespace {

using kernels::ActiveRows;
using kernels::LinearSizes;

Conv2dGeometry geometry(const LinearSizes& s) {
  return {.N = s.N,
          .H = 1,
          .W = 1,
          .C = s.I,
          .K = s.O,
          .R = 1,
          .S = 1,
          .P = 1,
          .Q = 1,
          .G = 1,
          .stride_h = 1,
          .stride_w = 1,
          .padding_h = 0,
          .padding_w = 0,
          .dilation_h = 1,
          .dilation_w = 1};
}

// tf32 and bfloat16 go to the tensor cores.
std::size_t forward_workspace(const LinearSizes& s, Precision p) {
  if (on_tensor_cores(p)) return linear_mma_forward_workspace(s, p);
  return conv2d_simt_forward_workspace(geometry(s));
}

std::size_t backward_input_workspace(const LinearSizes& s, Precision p) {
  if (on_tensor_cores(p)) return linear_mma_backward_input_workspace(s, p);
  return conv2d_simt_backward_input_workspace(geometry(s));
}

std::size_t backward_weight_workspace(const LinearSizes& s, Precision p) {
  if (on_tensor_cores(p)) return linear_mma_backward_weight_workspace(s, p);
  return std::max(conv2d_simt_backward_weight_workspace(geometry(s), false),
                  conv2d_simt_backward_weight_workspace(geometry(s), true));
}

void forward(const LinearSizes& s, Precision p, const float* x, const float* w, const float* bias,
             bool relu, float* y, void* workspace) {
  if (on_tensor_cores(p)) return linear_mma_forward(s, p, x, w, bias, relu, y, workspace);
  conv2d_simt_forward(geometry(s), x, w, bias, relu, y, workspace);
}

void backward_input(const LinearSizes& s, Precision p, const float* dy, const float* w, float* dx,
                    void* workspace) {
  if (on_tensor_cores(p)) return linear_mma_backward_input(s, p, dy, w, dx, workspace);
  conv2d_simt_backward_input(geometry(s), dy, w, dx, workspace);
}

void backward_weight(const LinearSizes& s, Precision p, const float* x, const float* dy, float* dw,
                     const ActiveRows* active, void* workspace) {
  if (on_tensor_cores(p)) return linear_mma_backward_weight(s, p, x, dy, dw, active, workspace);
  conv2d_simt_backward_weight(geometry(s), x, dy, dw, active, workspace);
}

}  // namespace
}  // namespace sentei::cuda
SENTEI_CUDA_TABLE(LinearKernels, linear_kernels, forward_workspace, backward_input_workspace,
                  backward_weight_workspace, forward, backward_input, backward_weight)
