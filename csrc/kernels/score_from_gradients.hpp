#pragma once
#include <cstdint>

#include "kernels/table.hpp"

namespace sentei::kernels {

// The parameters of one layer and their gradients: w, dw (rows, length); b, db (rows), both or
// none.
struct ScoreRows {
  std::int64_t rows, length;
  const float *w, *dw, *b, *db;
};

struct ScoreFromGradientsKernels {
  // Rows of all layers in order are the columns of stats (2, width). With v = sum_j w dw + b db of
  // a row, in double: stats[0] += v, stats[1] += v^2. The list is the host's.
  void (*accumulate)(std::int64_t count, const ScoreRows* layers, std::int64_t width,
                     double* stats);
};

}  // namespace sentei::kernels
SENTEI_KERNEL_TABLE(ScoreFromGradientsKernels, score_from_gradients_kernels)
