#pragma once
#include <cstdint>

#include "kernels/table.hpp"

namespace sentei::kernels {

// x is (samples, pixels, channels).
struct ScoreGeometry {
  std::int64_t samples, pixels, channels;
};

// How the work is cut depends on pixels and channels only, never on samples: then the sums of one
// sample, and so all bits of the result, are the same in any batch.
struct ScoreKernels {
  // Bytes of `work`; rows: sums per sample and channel (2, or 1 without g and for the trace).
  std::int64_t (*workspace)(const ScoreGeometry& s, std::int64_t rows);
  // g null: only sums of x. sum_x, sum_g null: no maps.
  void (*accumulate)(const ScoreGeometry& s, const float* x, const float* g, double* stats,
                     double* sum_x, double* sum_g, double* work);
  void (*trace)(const ScoreGeometry& s, const float* x, const double* mean_g, double* stats,
                double* work);
};

}  // namespace sentei::kernels
SENTEI_KERNEL_TABLE(ScoreKernels, score_kernels)
