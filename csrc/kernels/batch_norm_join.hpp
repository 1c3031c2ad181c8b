// Two batch norms, their sum, and ReLU, in one pass each way: a residual block whose shortcut is
// normalised too.
#pragma once
#include <cstddef>
#include <cstdint>

#include "kernels/table.hpp"

namespace sentei::kernels {

struct JoinBranch {
  const float *x, *gamma, *beta;
  float *running_mean, *running_var, *mean, *rstd;
};

struct JoinBranchGradient {
  const float *x, *gamma, *beta, *mean, *rstd;
  float *dx, *dgamma, *dbeta;
};

struct BatchNormJoinKernels {
  std::size_t (*workspace)(std::int64_t rows, std::int64_t C);
  // y = relu(batch_norm(first) + batch_norm(second))
  void (*forward)(std::int64_t rows, std::int64_t C, const JoinBranch& first,
                  const JoinBranch& second, float* y, std::byte* workspace, double eps,
                  double momentum);
  // Both branches get dy where y > 0. A backend may compute y again instead of reading it.
  void (*backward)(std::int64_t rows, std::int64_t C, const float* dy, const float* y,
                   const JoinBranchGradient& first, const JoinBranchGradient& second,
                   std::byte* workspace);
};

}  // namespace sentei::kernels
SENTEI_KERNEL_TABLE(BatchNormJoinKernels, batch_norm_join_kernels)
