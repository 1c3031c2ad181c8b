// Linear layers on tensor cores: convolutions of images of one pixel, of which the kernels and all
// that is said of them stand in conv2d_mma.cu. y = x w^T: m = N, n = O, depth = I; dx = dy w;
// dw = dy^T x with the depth N.
#include <algorithm>

#include "cuda/conv2d_mma.hpp"
#include "cuda/linear_mma.hpp"
#include "cuda/mma_plan.hpp"

namespace sentei::cuda {

using kernels::LinearSizes;

namespace {

Conv2dGeometry one_pixel(const LinearSizes& s) {
  Conv2dGeometry g{};
  g.N = s.N, g.C = s.I, g.K = s.O;
  g.H = g.W = g.R = g.S = g.P = g.Q = g.G = 1;
  g.stride_h = g.stride_w = g.dilation_h = g.dilation_w = 1;
  return g;
}

}  // namespace

std::size_t linear_mma_forward_workspace(const LinearSizes& s, Precision precision) {
  return conv2d_mma_forward_workspace(one_pixel(s), precision);
}

std::size_t linear_mma_backward_input_workspace(const LinearSizes& s, Precision precision) {
  return conv2d_mma_backward_input_workspace(one_pixel(s), precision);
}

// For the rows of any group as well: a copy of their columns of dy, and slots for a large batch.
std::size_t linear_mma_backward_weight_workspace(const LinearSizes& s, Precision precision) {
  const std::size_t bytes = conv2d_mma_backward_weight_workspace(one_pixel(s), precision);
  const auto dy = static_cast<std::size_t>(s.N * (s.O + 8)) * sizeof(float) + 256;
  std::size_t slots = 0;
  if (s.N >= 8 * mma_depth(precision))
    slots =
        static_cast<std::size_t>(std::min<std::int64_t>(8 * s.O * s.I, std::int64_t{1} << 21) * 4);
  return bytes + (precision == Precision::tf32 ? dy : 0) + slots;
}

void linear_mma_forward(const LinearSizes& s, Precision precision, const float* x, const float* w,
                        const float* bias, bool relu, float* y, void* workspace) {
  mma_forward("linear_forward_mma_kernel", one_pixel(s), precision, x, w, bias, relu, y, workspace);
}

void linear_mma_backward_input(const LinearSizes& s, Precision precision, const float* dy,
                               const float* w, float* dx, void* workspace) {
  mma_backward_input("linear_backward_input_mma_kernel", one_pixel(s), precision, dy, w, dx,
                     workspace);
}

void linear_mma_backward_weight(const LinearSizes& s, Precision precision, const float* x,
                                const float* dy, float* dw, const kernels::ActiveRows* active,
                                void* workspace) {
  mma_backward_weight("linear_backward_weight_mma_kernel", one_pixel(s), precision, x, dy, dw,
                      active, linear_mma_backward_weight_workspace(s, precision), workspace);
}

}  // namespace sentei::cuda
