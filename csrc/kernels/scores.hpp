#pragma once
#include <cstdint>

#include "kernels/table.hpp"

namespace sentei::kernels {

// x is (samples, pixels, channels). Blocks depend on pixels and channels only, never on samples:
// then the sums of one sample, and so all bits of the result, are the same in any batch.
struct ScoreGeometry {
  std::int64_t samples, pixels, channels;
  std::int64_t pixel_blocks, channel_blocks;
};

struct ScoreKernels {
  // g null: only sums of x. sum_x, sum_g null: no maps. work: 2 (1 without g) doubles per sample,
  // pixel block and channel, none for a single pixel block.
  void (*accumulate)(const ScoreGeometry& s, const float* x, const float* g, double* stats,
                     double* sum_x, double* sum_g, double* work);
  // work: 1 double per sample, pixel block and channel, none for a single pixel block.
  void (*trace)(const ScoreGeometry& s, const float* x, const double* mean_g, double* stats,
                double* work);
};

}  // namespace sentei::kernels
SENTEI_KERNEL_TABLE(ScoreKernels, score_kernels)
