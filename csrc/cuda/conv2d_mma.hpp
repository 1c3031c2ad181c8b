// Convolution on tensor cores: the functions of kernels::Conv2dKernels for tf32 and bfloat16.
// Only for conv2d_mma_takes(g): grouped convolutions (G > 1) are not made for tensor cores; the
// float32 kernels compute them in any precision, more exactly than was asked for.
#pragma once
#include "kernels/conv2d.hpp"
#include "kernels/linear.hpp"

namespace sentei::cuda {

inline bool conv2d_mma_takes(const Conv2dGeometry& g, Precision precision) {
  return on_tensor_cores(precision) && g.G == 1;
}

std::size_t conv2d_mma_forward_workspace(const Conv2dGeometry& g, Precision precision);
std::size_t conv2d_mma_backward_input_workspace(const Conv2dGeometry& g, Precision precision);
std::size_t conv2d_mma_backward_weight_workspace(const Conv2dGeometry& g, Precision precision);
void conv2d_mma_forward(const Conv2dGeometry& g, Precision precision, const float* x,
                        const float* w, const float* bias, bool relu, float* y, void* workspace);
void conv2d_mma_backward_input(const Conv2dGeometry& g, Precision precision, const float* dy,
                               const float* w, float* dx, void* workspace);
void conv2d_mma_backward_weight(const Conv2dGeometry& g, Precision precision, const float* x,
                                const float* dy, float* dw, void* workspace);

// Rows of y in a tile of which the forward pass can give moments; 0: it cannot, for these sizes.
int conv2d_mma_moments_rows(const Conv2dGeometry& g, Precision precision);

// The same under the name of the op that errors should tell; linear layers are convolutions of
// images of one pixel. `active`: only its rows of dw, in a workspace that is larger for it. With
// `moments` also moments of the columns of each tile: (tiles, 3, K), without relu.
void mma_forward(const char* name, const Conv2dGeometry& g, Precision precision, const float* x,
                 const float* w, const float* bias, bool relu, float* y, void* workspace,
                 float* moments = nullptr);
void mma_backward_input(const char* name, const Conv2dGeometry& g, Precision precision,
                        const float* dy, const float* w, float* dx, void* workspace);
void mma_backward_weight(const char* name, const Conv2dGeometry& g, Precision precision,
                         const float* x, const float* dy, float* dw,
                         const kernels::ActiveRows* active, std::size_t workspace_bytes,
                         void* workspace);

}  // namespace sentei::cuda
