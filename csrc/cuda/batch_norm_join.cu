// y = relu(batch_norm(x) + batch_norm(z)) from the kernels of its parts: batch_norm to y, then
// batch_norm_add in place; backward batch_norm_add, whose gradient for the branch the other norm
// then takes in place. The fold is of the CPU; training graphs of this backend keep the parts.
#include <algorithm>

#include "cuda/table.cuh"
#include "cuda/tables.hpp"
#include "kernels/batch_norm.hpp"
#include "kernels/batch_norm_add.hpp"
#include "kernels/batch_norm_join.hpp"

namespace sentei::cuda {
namespace {

using std::int64_t;
using namespace sentei::kernels;

const BatchNormKernels& norm() {
  return *static_cast<const BatchNormKernels*>(find_table("batch_norm_kernels"));
}
const BatchNormAddKernels& norm_add() {
  return *static_cast<const BatchNormAddKernels*>(find_table("batch_norm_add_kernels"));
}

std::size_t workspace_bytes(int64_t rows, int64_t C) {
  return std::max(norm().workspace(rows, C), norm_add().workspace(rows, C));
}

void forward(int64_t rows, int64_t C, const JoinBranch& first, const JoinBranch& second, float* y,
             std::byte* workspace, double eps, double momentum) {
  norm().forward(rows, C, second.x, second.gamma, second.beta, second.running_mean,
                 second.running_var, y, second.mean, second.rstd, workspace, eps, momentum, false,
                 nullptr, nullptr);
  norm_add().forward(rows, C, first.x, y, first.gamma, first.beta, first.running_mean,
                     first.running_var, y, first.mean, first.rstd, workspace, eps, momentum,
                     nullptr, nullptr);
}

void backward(int64_t rows, int64_t C, const float* dy, const float* y,
              const JoinBranchGradient& first, const JoinBranchGradient& second,
              std::byte* workspace) {
  norm_add().backward(rows, C, dy, y, first.x, first.gamma, first.mean, first.rstd, first.dx,
                      second.dx, first.dgamma, first.dbeta, workspace);
  norm().backward(rows, C, second.dx, second.x, second.gamma, second.mean, second.rstd, nullptr,
                  second.dx, second.dgamma, second.dbeta, workspace, false);
}

}  // namespace
}  // namespace sentei::cuda
SENTEI_CUDA_TABLE(BatchNormJoinKernels, batch_norm_join_kernels, workspace_bytes, forward, backward)
