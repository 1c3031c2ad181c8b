// Linear layers: for now the tensor-core kernels only.
#include "core/check.hpp"
#include "cuda/linear_mma.hpp"
#include "cuda/table.cuh"

namespace sentei::cuda {
namespace {

using kernels::LinearSizes;

void check(Precision p) {
  SENTEI_CHECK(ValueError, p != Precision::float32,
               "linear: precision must be tf32 or bfloat16, got float32");
}
std::size_t forward_workspace(const LinearSizes& s, Precision p) {
  return check(p), linear_mma_forward_workspace(s, p);
}
std::size_t backward_input_workspace(const LinearSizes& s, Precision p) {
  return check(p), linear_mma_backward_input_workspace(s, p);
}
std::size_t backward_weight_workspace(const LinearSizes& s, Precision p) {
  return check(p), linear_mma_backward_weight_workspace(s, p);
}

}  // namespace
}  // namespace sentei::cuda
SENTEI_CUDA_TABLE(LinearKernels, linear_kernels, forward_workspace, backward_input_workspace,
                  backward_weight_workspace, linear_mma_forward, linear_mma_backward_input,
                  linear_mma_backward_weight)
