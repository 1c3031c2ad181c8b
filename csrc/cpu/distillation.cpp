// Distillation: what a teacher's softened outputs add to a loss. With u = (z - max z) / T of the
// logits, v = (t - max t) / T of the teacher, q and p the softmax of both:
//   KL(p || q) = sum p (v - u) + log sum exp u - log sum exp v,   T^2 dKL/dz = T (q - p)
// A row stays in L1, so exponentials are computed twice rather than kept.
#include "kernels/distillation.hpp"

#include <cmath>

#include "core/parallel.hpp"
#include "cpu/loss_sum.hpp"
#include "cpu/vmath.hpp"

namespace sentei::cpu::SENTEI_ISA {

using namespace sentei::kernels;
namespace {

constexpr std::int64_t kTasks = 64, kBlock = 4096;

SENTEI_INLINE float largest(std::int64_t n, const float* z) {
  float best = z[0];
  for (std::int64_t i = 1; i < n; ++i) best = z[i] > best ? z[i] : best;
  return best;
}

// f(index, lanes) over a row in whole vectors, then what is left.
template <class F>
SENTEI_INLINE void over_row(std::int64_t k, const F& f) {
  std::int64_t j = 0;
  for (; j + kLanes <= k; j += kLanes) f(j, kLanes);
  if (j < k) f(j, static_cast<int>(k - j));
}

SENTEI_INLINE vf first_lanes(int lanes) {
  float ones[kLanes] = {};
  for (int i = 0; i < lanes; ++i) ones[i] = 1;
  return load(ones);
}

SENTEI_INLINE float mix_row(std::int64_t k, const float* z, const float* t, float alpha,
                            float temperature, float hard, float* d) {
  const vf z0 = splat(largest(k, z)), t0 = splat(largest(k, t)), share = splat(1 / temperature);
  vf sum_q{}, sum_p{}, sum_m{};
  over_row(k, [&](std::int64_t j, int lanes) {
    const vf on = first_lanes(lanes);
    const vf u = (load_n(z + j, lanes) - z0) * share, v = (load_n(t + j, lanes) - t0) * share;
    const vf p = vexp(v) * on;
    sum_q += vexp(u) * on;
    sum_p += p;
    sum_m += p * (v - u);
  });
  const float q = lane_sum(sum_q), p = lane_sum(sum_p);
  const double kl = static_cast<double>(lane_sum(sum_m)) / static_cast<double>(p) +
                    std::log(static_cast<double>(q)) - std::log(static_cast<double>(p));
  const vf q1 = splat(1 / q), p1 = splat(1 / p);
  const vf mine = splat(1 - alpha), theirs = splat(alpha * temperature);
  over_row(k, [&](std::int64_t j, int lanes) {
    const vf u = (load_n(z + j, lanes) - z0) * share, v = (load_n(t + j, lanes) - t0) * share;
    const vf away = vexp(u) * q1 - vexp(v) * p1;
    store_n(d + j, mine * load_n(d + j, lanes) + theirs * away, lanes);
  });
  const double least = kl < 0 ? 0 : kl;  // rounding; NaN stays
  return (1 - alpha) * hard +
         static_cast<float>(static_cast<double>(alpha) * static_cast<double>(temperature) *
                            static_cast<double>(temperature) * least);
}

void mix(std::int64_t n, std::int64_t k, const float* logits, const float* teacher, float alpha,
         float temperature, bool mean, float* loss, float* per_sample, float* dlogits) {
  const std::int64_t per_task = imax(ceil_div(n, kTasks), ceil_div(kBlock, k));
  parallel_for(ceil_div(n, per_task), [=](std::int64_t task) {
    const std::int64_t end = imin(n, (task + 1) * per_task);
    for (std::int64_t i = task * per_task; i < end; ++i)
      per_sample[i] = mix_row(k, logits + i * k, teacher + i * k, alpha, temperature, per_sample[i],
                              dlogits + i * k);
  });
  sum_losses(n, per_sample, mean, loss);
}

}  // namespace

extern const DistillationKernels distillation_kernels;
const DistillationKernels distillation_kernels = {mix};

}  // namespace sentei::cpu::SENTEI_ISA
