// Batch sums of x.g from parameters and their gradients: per row v = sum w dw + b db, in double
// (the product of two floats is exact there). A task owns rows of some 16 Ki elements; 16 chains
// per row, added as a tree, so bits depend on the length of the row alone. 8 bytes per parameter.
#include "kernels/score_from_gradients.hpp"

#include "core/parallel.hpp"
#include "cpu/simd.hpp"

namespace sentei::cpu::SENTEI_ISA {

using namespace sentei::kernels;
namespace {

constexpr std::int64_t kTask = 16384;
constexpr int kChains = 16;

SENTEI_INLINE double dot(std::int64_t n, const float* __restrict w, const float* __restrict dw) {
  double sums[kChains] = {};
  std::int64_t j = 0;
  for (; j + kChains <= n; j += kChains)
    for (int i = 0; i < kChains; ++i) sums[i] += static_cast<double>(w[j + i]) * dw[j + i];
  for (int i = 0; j < n; ++i, ++j) sums[i] += static_cast<double>(w[j]) * dw[j];
  for (int step = kChains / 2; step > 0; step /= 2)
    for (int i = 0; i < step; ++i) sums[i] += sums[i + step];
  return sums[0];
}

void accumulate(std::int64_t count, const ScoreRows* layers, std::int64_t width, double* stats) {
  for (std::int64_t l = 0; l < count; ++l) {
    const ScoreRows& s = layers[l];
    const std::int64_t rows = imax(kTask / imax(s.length, 1), 1);
    double* const out = stats;
    parallel_for(ceil_div(s.rows, rows), [&](std::int64_t task) {
      const std::int64_t end = imin(s.rows, (task + 1) * rows);
      for (std::int64_t k = task * rows; k < end; ++k) {
        double v = dot(s.length, s.w + k * s.length, s.dw + k * s.length);
        if (s.b) v += static_cast<double>(s.b[k]) * s.db[k];
        out[k] += v;
        out[width + k] += v * v;
      }
    });
    stats += s.rows;
  }
}

}  // namespace

extern const ScoreFromGradientsKernels score_from_gradients_kernels;
const ScoreFromGradientsKernels score_from_gradients_kernels = {accumulate};

}  // namespace sentei::cpu::SENTEI_ISA
