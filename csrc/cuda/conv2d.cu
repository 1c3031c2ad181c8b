// Convolution: for now the tensor-core kernels only.
#include "core/check.hpp"
#include "cuda/conv2d_mma.hpp"
#include "cuda/table.cuh"

namespace sentei::cuda {
namespace {

void check(const Conv2dGeometry& g, Precision p) {
  SENTEI_CHECK(ValueError, conv2d_mma_takes(g, p),
               "conv2d: precision must be tf32 or bfloat16, without groups, got ",
               precision_name(p), " and ", g.G, " groups");
}
std::size_t forward_workspace(const Conv2dGeometry& g, Precision p) {
  return check(g, p), conv2d_mma_forward_workspace(g, p);
}
std::size_t backward_input_workspace(const Conv2dGeometry& g, Precision p) {
  return check(g, p), conv2d_mma_backward_input_workspace(g, p);
}
std::size_t backward_weight_workspace(const Conv2dGeometry& g, Precision p) {
  return check(g, p), conv2d_mma_backward_weight_workspace(g, p);
}

}  // namespace
}  // namespace sentei::cuda
SENTEI_CUDA_TABLE(Conv2dKernels, conv2d_kernels, forward_workspace, backward_input_workspace,
                  backward_weight_workspace, conv2d_mma_forward, conv2d_mma_backward_input,
                  conv2d_mma_backward_weight)
