// Cross-entropy of logits with integer labels. One row stays in L1 through all its passes, so
// logits are read and dlogits written once. With m = max z and e_k = exp(z_k - m):
//   softmax: loss = log1p(sum of e without the largest) + m - z_label, dz_k = e_k / sum e - [label]
//   sigmoid: every class on its own, loss = log(1 + exp(u)), du = 1/(1 + exp(-u)), u = -z at the
//            label, z elsewhere: flipping the sign first leaves no difference of large numbers.
// Leaving the largest term, which is exactly 1, out of the sum keeps small losses precise.
#include "kernels/cross_entropy.hpp"

#include "core/parallel.hpp"
#include "cpu/loss_sum.hpp"
#include "cpu/vmath.hpp"

namespace sentei::cpu::SENTEI_ISA {

using namespace sentei::kernels;
namespace {

constexpr std::int64_t kTasks = 64, kBlock = 4096;

// Index of the largest value, the first of equals; 0 if there is a NaN that hides it.
SENTEI_INLINE std::int64_t argmax(std::int64_t n, const float* z) {
  float best = z[0];
  std::int64_t i = 1;
  if (n >= kLanes) {
    vf most = load(z);
    for (i = kLanes; i + kLanes <= n; i += kLanes) {
      const vf v = load(z + i);
      most = v > most ? v : most;
    }
    for (int j = 0; j < kLanes; ++j) best = most[j] > best ? most[j] : best;
  }
  for (; i < n; ++i) best = z[i] > best ? z[i] : best;
  for (i = 0; i < n; ++i)
    if (z[i] == best) return i;
  return 0;
}

// y = f(x) over a row; y may be x.
template <class F>
SENTEI_INLINE void map_row(std::int64_t n, const float* x, float* y, const F& f) {
  std::int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) store(y + i, f(load(x + i)));
  if (i < n) {
    const int m = static_cast<int>(n - i);
    store_n(y + i, f(load_n(x + i, m)), m);
  }
}

SENTEI_INLINE float row_sum(std::int64_t n, const float* x) {
  vf total{};
  std::int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) total += load(x + i);
  if (i < n) total += load_n(x + i, static_cast<int>(n - i));
  return lane_sum(total);
}

// Rows in tasks that depend on n and k only; row(i) says whether the label came first.
template <class Row>
SENTEI_INLINE std::int64_t count_rows(std::int64_t n, std::int64_t k, const Row& row) {
  const std::int64_t per_task = imax(ceil_div(n, kTasks), ceil_div(kBlock, k));
  std::int64_t counts[kTasks] = {};
  const std::int64_t tasks = ceil_div(n, per_task);
  parallel_for(tasks, [&](std::int64_t task) {
    const std::int64_t end = imin(n, (task + 1) * per_task);
    std::int64_t hits = 0;
    for (std::int64_t i = task * per_task; i < end; ++i) hits += row(i);
    counts[task] = hits;
  });
  std::int64_t total = 0;
  for (std::int64_t t = 0; t < tasks; ++t) total += counts[t];
  return total;
}

void softmax(std::int64_t n, std::int64_t k, const float* logits, const std::int64_t* labels,
             bool mean, float* loss_out, float* per_sample, float* dlogits, std::int64_t* correct) {
  *correct = count_rows(n, k, [=](std::int64_t i) -> std::int64_t {
    const float* z = logits + i * k;
    float* d = dlogits + i * k;
    const std::int64_t best = argmax(k, z), label = labels[i];
    const float most = z[best];
    map_row(k, z, d, [=](vf v) { return vexp(v - splat(most)); });
    const float one = d[best];  // 1, or NaN
    d[best] = 0;
    const float others = row_sum(k, d), total = one + others;
    const float loss =
        static_cast<float>(__builtin_log1p(static_cast<double>(others) + (one - 1))) +
        (most - z[label]);
    per_sample[i] = loss;
    d[best] = one;
    const float share = 1 / total;
    // 1 - p_label = (total - e_label) / total, without the difference when the label leads.
    const float rest = label == best ? others : total - d[label];
    map_row(k, d, d, [=](vf v) { return v * splat(share); });
    d[label] = -rest * share;
    return best == label && loss == loss;
  });
  sum_losses(n, per_sample, mean, loss_out);
}

void sigmoid(std::int64_t n, std::int64_t k, const float* logits, const std::int64_t* labels,
             bool mean, float* loss_out, float* per_sample, float* dlogits, std::int64_t* correct) {
  *correct = count_rows(n, k, [=](std::int64_t i) -> std::int64_t {
    const float* z = logits + i * k;
    float* d = dlogits + i * k;
    const std::int64_t best = argmax(k, z), label = labels[i];
    for (std::int64_t j = 0; j < k; ++j) d[j] = z[j];
    d[label] = -d[label];
    vf total{};
    const auto slope = [&](vf u, vf mask) {
      const vf e = vexp(-vabs(u)), inverse = splat(1.0f) / (splat(1.0f) + e);
      total += mask * ((u > vf{} ? u : vf{}) + vlog1p(e));
      return (u > vf{} ? splat(1.0f) : e) * inverse;
    };
    std::int64_t j = 0;
    for (; j + kLanes <= k; j += kLanes) store(d + j, slope(load(d + j), splat(1.0f)));
    if (j < k) {
      const int m = static_cast<int>(k - j);
      float ones[kLanes] = {};
      for (int lane = 0; lane < m; ++lane) ones[lane] = 1;
      store_n(d + j, slope(load_n(d + j, m), load(ones)), m);
    }
    d[label] = -d[label];
    const float loss = lane_sum(total);
    per_sample[i] = loss;
    return best == label && loss == loss;
  });
  sum_losses(n, per_sample, mean, loss_out);
}

}  // namespace

extern const CrossEntropyKernels cross_entropy_kernels;
const CrossEntropyKernels cross_entropy_kernels = {softmax, sigmoid};

}  // namespace sentei::cpu::SENTEI_ISA
