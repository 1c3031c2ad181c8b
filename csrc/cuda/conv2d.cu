// Convolution: which kernels compute a pass.
#include "cuda/conv2d_depthwise.hpp"
#include "cuda/conv2d_mma.hpp"
#include "cuda/conv2d_simt.hpp"
#include "cuda/table.cuh"
#include "kernels/conv2d.hpp"

namespace sentei::cuda {
namespace {

// tf32 and bfloat16 go to the tensor cores where these have kernels; without, the exact ones serve.
std::size_t forward_workspace(const Conv2dGeometry& g, Precision p) {
  if (conv2d_mma_takes(g, p)) return conv2d_mma_forward_workspace(g, p);
  return g.depthwise() ? 0 : conv2d_simt_forward_workspace(g);
}

std::size_t backward_input_workspace(const Conv2dGeometry& g, Precision p) {
  if (conv2d_mma_takes(g, p)) return conv2d_mma_backward_input_workspace(g, p);
  return g.depthwise() ? 0 : conv2d_simt_backward_input_workspace(g);
}

std::size_t backward_weight_workspace(const Conv2dGeometry& g, Precision p) {
  if (conv2d_mma_takes(g, p)) return conv2d_mma_backward_weight_workspace(g, p);
  return g.depthwise() ? conv2d_depthwise_backward_weight_workspace(g)
                       : conv2d_simt_backward_weight_workspace(g, false);
}

void forward(const Conv2dGeometry& g, Precision p, const float* x, const float* w,
             const float* bias, bool relu, float* y, void* workspace) {
  if (conv2d_mma_takes(g, p)) return conv2d_mma_forward(g, p, x, w, bias, relu, y, workspace);
  g.depthwise() ? conv2d_depthwise_forward(g, x, w, bias, relu, y)
                : conv2d_simt_forward(g, x, w, bias, relu, y, workspace);
}

void backward_input(const Conv2dGeometry& g, Precision p, const float* dy, const float* w,
                    float* dx, void* workspace) {
  if (conv2d_mma_takes(g, p)) return conv2d_mma_backward_input(g, p, dy, w, dx, workspace);
  g.depthwise() ? conv2d_depthwise_backward_input(g, dy, w, dx)
                : conv2d_simt_backward_input(g, dy, w, dx, workspace);
}

void backward_weight(const Conv2dGeometry& g, Precision p, const float* x, const float* dy,
                     float* dw, void* workspace) {
  if (conv2d_mma_takes(g, p)) return conv2d_mma_backward_weight(g, p, x, dy, dw, workspace);
  g.depthwise() ? conv2d_depthwise_backward_weight(g, x, dy, dw, workspace)
                : conv2d_simt_backward_weight(g, x, dy, dw, nullptr, workspace);
}

}  // namespace
}  // namespace sentei::cuda
SENTEI_CUDA_TABLE(Conv2dKernels, conv2d_kernels, forward_workspace, backward_input_workspace,
                  backward_weight_workspace, forward, backward_input, backward_weight)
