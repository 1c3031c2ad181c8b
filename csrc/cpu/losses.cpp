// Losses on outputs y and targets t of one shape, summed over outputs per sample, and their
// gradients. One pass, 12 bytes per element. Each element is computed in double and each sample
// summed in double over eight lanes in a fixed order.
#include "kernels/losses.hpp"

#include "core/parallel.hpp"
#include "cpu/loss_sum.hpp"

namespace sentei::cpu::SENTEI_ISA {

using namespace sentei::kernels;
namespace {

constexpr std::int64_t kBlock = 16384;
constexpr int kSums = 8;
constexpr double kLow = 1e-7, kHigh = 1 - 1e-7;  // probabilities before a logarithm

struct Term {
  double loss, grad;
};

SENTEI_INLINE double sign(double d) { return d > 0 ? 1.0 : d < 0 ? -1.0 : 0.0; }
SENTEI_INLINE double magnitude(double d) { return d < 0 ? -d : d; }
SENTEI_INLINE double positive(double d) { return d < 0 ? 0.0 : d; }  // NaN stays
SENTEI_INLINE double clamped(double y) { return y < kLow ? kLow : y > kHigh ? kHigh : y; }
SENTEI_INLINE bool outside(double y) { return y <= kLow || y >= kHigh; }  // the slope there is 0

// log(1 + exp(u)) and its slope.
SENTEI_INLINE Term softplus(double u) {
  const double e = __builtin_exp(-magnitude(u));
  return {positive(u) + __builtin_log1p(e), u > 0 ? 1 / (1 + e) : e / (1 + e)};
}

template <Loss kKind>
SENTEI_INLINE Term term(double y, double t, double a) {
  if constexpr (kKind == Loss::squared) {
    const double d = y - t;
    return {0.5 * d * d, d};
  } else if constexpr (kKind == Loss::binary_ce) {
    const double c = clamped(y);
    return {-t * __builtin_log(c) - (1 - t) * __builtin_log1p(-c),
            outside(y) ? 0.0 : (c - t) / (c * (1 - c))};
  } else if constexpr (kKind == Loss::binary_ce_logits) {
    // softplus(y) - t y, with the sign turned where t = 1 so that nothing large cancels.
    if (t == 1) {
      const Term s = softplus(-y);
      return {s.loss, -s.grad};
    }
    const Term s = softplus(y);
    return {s.loss - t * y, s.grad - t};
  } else if constexpr (kKind == Loss::categorical_ce) {
    const double c = clamped(y);
    return {-t * __builtin_log(c), outside(y) ? 0.0 : -t / c};
  } else if constexpr (kKind == Loss::logistic) {
    const Term s = softplus(-t * y);
    return {s.loss, -t * s.grad};
  } else if constexpr (kKind == Loss::exponential) {
    const double e = __builtin_exp(-t * y);
    return {e, -t * e};
  } else if constexpr (kKind == Loss::hinge) {
    const double m = 1 - t * y;
    return {positive(m), m > 0 ? -t : 0.0};
  } else if constexpr (kKind == Loss::quantile) {
    const double d = y - t;
    return {d > 0 ? (1 - a) * d : -a * d, d > 0 ? 1 - a : d < 0 ? -a : 0.0};
  } else if constexpr (kKind == Loss::huber) {
    const double d = y - t, m = magnitude(d);
    return {m <= a ? d * d : 2 * a * (m - 0.5 * a), m <= a ? 2 * d : 2 * a * sign(d)};
  } else {
    const double d = y - t, m = magnitude(d) - a;
    return {positive(m), m > 0 ? sign(d) : 0.0};
  }
}

template <Loss kKind>
void run(std::int64_t n, std::int64_t k, const float* y, const float* t, double a,
         float* per_sample, float* grad) {
  const std::int64_t per_task = imax(1, kBlock / imax(1, k));
  parallel_for(ceil_div(n, per_task), [=](std::int64_t task) {
    const std::int64_t end = imin(n, (task + 1) * per_task);
    for (std::int64_t i = task * per_task; i < end; ++i) {
      const float *yr = y + i * k, *tr = t + i * k;
      float* gr = grad + i * k;
      double sums[kSums] = {};
      std::int64_t j = 0;
      for (; j + kSums <= k; j += kSums)
        for (int s = 0; s < kSums; ++s) {
          const Term e = term<kKind>(yr[j + s], tr[j + s], a);
          sums[s] += e.loss;
          gr[j + s] = static_cast<float>(e.grad);
        }
      for (int s = 0; j + s < k; ++s) {
        const Term e = term<kKind>(yr[j + s], tr[j + s], a);
        sums[s] += e.loss;
        gr[j + s] = static_cast<float>(e.grad);
      }
      for (int half = kSums / 2; half > 0; half /= 2)
        for (int s = 0; s < half; ++s) sums[s] += sums[s + half];
      per_sample[i] = static_cast<float>(sums[0]);
    }
  });
}

void forward(Loss kind, std::int64_t n, std::int64_t k, const float* y, const float* t, double a,
             float* per_sample, float* grad) {
  switch (kind) {
    case Loss::squared:
      return run<Loss::squared>(n, k, y, t, a, per_sample, grad);
    case Loss::binary_ce:
      return run<Loss::binary_ce>(n, k, y, t, a, per_sample, grad);
    case Loss::binary_ce_logits:
      return run<Loss::binary_ce_logits>(n, k, y, t, a, per_sample, grad);
    case Loss::categorical_ce:
      return run<Loss::categorical_ce>(n, k, y, t, a, per_sample, grad);
    case Loss::logistic:
      return run<Loss::logistic>(n, k, y, t, a, per_sample, grad);
    case Loss::exponential:
      return run<Loss::exponential>(n, k, y, t, a, per_sample, grad);
    case Loss::hinge:
      return run<Loss::hinge>(n, k, y, t, a, per_sample, grad);
    case Loss::quantile:
      return run<Loss::quantile>(n, k, y, t, a, per_sample, grad);
    case Loss::huber:
      return run<Loss::huber>(n, k, y, t, a, per_sample, grad);
    case Loss::eps_insensitive:
      return run<Loss::eps_insensitive>(n, k, y, t, a, per_sample, grad);
  }
}

void scale(std::int64_t n, const float* x, const float* dloss, float divisor, float* y) {
  const vf f = splat(*dloss / divisor);
  parallel_for(ceil_div(n, kBlock), [=](std::int64_t task) {
    const std::int64_t end = imin(n, (task + 1) * kBlock);
    std::int64_t i = task * kBlock;
    for (; i + kLanes <= end; i += kLanes) store(y + i, load(x + i) * f);
    if (i < end) {
      const int m = static_cast<int>(end - i);
      store_n(y + i, load_n(x + i, m) * f, m);
    }
  });
}

}  // namespace

extern const LossKernels loss_kernels;
const LossKernels loss_kernels = {forward, sum_losses, scale};

}  // namespace sentei::cpu::SENTEI_ISA
