// value = lam sum_k W_k / T_k. Means first, then squares about them, all in doubles; a task owns 32
// columns and walks down the rows, so every sum has one order. A class that is absent or alone has
// W = T and ratio 1 by the arithmetic itself, since both sums then add the same numbers.
#include "kernels/discriminant_penalty.hpp"

#include "core/parallel.hpp"
#include "cpu/simd.hpp"

namespace sentei::cpu::SENTEI_ISA {

using namespace sentei::kernels;
namespace {

constexpr std::int64_t kColumns = 32;

struct Stats {  // arrays of k doubles in the scratch memory
  double *mean, *own, *rest, *within, *total, *count;
};
SENTEI_INLINE Stats stats_in(double* scratch, std::int64_t k) {
  return {scratch, scratch + k, scratch + 2 * k, scratch + 3 * k, scratch + 4 * k, scratch + 5 * k};
}

// Fills the columns [begin, end); a column with nothing to separate gets within = total = 0.
SENTEI_NOINLINE void fill_stats(const Stats& s, std::int64_t begin, std::int64_t end,
                                std::int64_t n, std::int64_t k, const float* y,
                                const std::int64_t* labels) {
  for (std::int64_t c = begin; c < end; ++c)
    s.mean[c] = s.own[c] = s.rest[c] = s.within[c] = s.total[c] = s.count[c] = 0;
  if (n == 0) return;
  for (std::int64_t i = 0; i < n; ++i) {
    const float* row = y + i * k;
    for (std::int64_t c = begin; c < end; ++c) s.mean[c] += static_cast<double>(row[c]);
    const std::int64_t l = labels[i];
    if (l >= begin && l < end) {
      s.own[l] += static_cast<double>(row[l]);
      s.count[l] += 1;
    }
  }
  for (std::int64_t c = begin; c < end; ++c) {
    const double all = s.mean[c], others = static_cast<double>(n) - s.count[c];
    s.mean[c] = all / static_cast<double>(n);
    s.rest[c] = others > 0 ? (all - s.own[c]) / others : s.mean[c];
    s.own[c] = s.count[c] > 0 ? s.own[c] / s.count[c] : s.mean[c];
  }
  for (std::int64_t i = 0; i < n; ++i) {
    const float* row = y + i * k;
    const std::int64_t l = labels[i];
    for (std::int64_t c = begin; c < end; ++c) {
      const double v = static_cast<double>(row[c]);
      const double a = v - s.mean[c], b = v - (c == l ? s.own[c] : s.rest[c]);
      s.total[c] += a * a;
      s.within[c] += b * b;
    }
  }
  for (std::int64_t c = begin; c < end; ++c) {
    s.total[c] /= static_cast<double>(n);
    s.within[c] /= static_cast<double>(n);
    const double square = s.mean[c] * s.mean[c];
    if (s.total[c] <= 1e-12 * (square > 1 ? square : 1)) s.within[c] = s.total[c] = 0;
  }
}

SENTEI_INLINE double ratio_of(const Stats& s, std::int64_t c) {
  return s.total[c] == 0 ? 1.0 : s.within[c] / s.total[c];
}

void forward(std::int64_t n, std::int64_t k, const float* y, const std::int64_t* labels, double lam,
             float* value, float* within, float* total, float* ratio, double* scratch) {
  const Stats s = stats_in(scratch, k);
  parallel_for(ceil_div(k, kColumns), [=, &s](std::int64_t task) {
    const std::int64_t begin = task * kColumns, end = imin(k, begin + kColumns);
    fill_stats(s, begin, end, n, k, y, labels);
    for (std::int64_t c = begin; c < end; ++c) {
      within[c] = static_cast<float>(s.within[c]);
      total[c] = static_cast<float>(s.total[c]);
      ratio[c] = static_cast<float>(ratio_of(s, c));
    }
  });
  double sum = 0;
  for (std::int64_t c = 0; c < k; ++c) sum += ratio_of(s, c);
  *value = static_cast<float>(lam * sum);
}

void backward(std::int64_t n, std::int64_t k, const float* y, const std::int64_t* labels,
              const float* dvalue, double lam, float* dy, double* scratch) {
  const Stats s = stats_in(scratch, k);
  const double scale = lam * static_cast<double>(*dvalue) * 2.0;
  parallel_for(ceil_div(k, kColumns), [=, &s](std::int64_t task) {
    const std::int64_t begin = task * kColumns, end = imin(k, begin + kColumns);
    fill_stats(s, begin, end, n, k, y, labels);
    // From here on: within holds the ratio, total the factor of the bracket.
    for (std::int64_t c = begin; c < end; ++c) {
      s.within[c] = ratio_of(s, c);
      s.total[c] = s.total[c] == 0 ? 0 : scale / (static_cast<double>(n) * s.total[c]);
    }
    for (std::int64_t i = 0; i < n; ++i) {
      for (std::int64_t c = begin; c < end; ++c) {
        const double v = static_cast<double>(y[i * k + c]);
        const double centre = c == labels[i] ? s.own[c] : s.rest[c];
        const double bracket = (v - centre) - s.within[c] * (v - s.mean[c]);
        dy[i * k + c] = static_cast<float>(s.total[c] * bracket);
      }
    }
  });
}

}  // namespace

extern const DiscriminantPenaltyKernels discriminant_penalty_kernels;
const DiscriminantPenaltyKernels discriminant_penalty_kernels = {forward, backward};

}  // namespace sentei::cpu::SENTEI_ISA
