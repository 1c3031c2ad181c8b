// value = scale * sum log(1 + q), du = dvalue scale 2u / (1 + q), with q = u^2 for every element
// (neuron form) or the sum of u^2 over a channel's pixels (channel form). One partial sum per task,
// in doubles, added up in order. 4 bytes read per element; backward 8, the channel form's two reads
// of a sample being one from memory.
#include "kernels/sparse_penalty.hpp"

#include "core/parallel.hpp"
#include "cpu/vmath.hpp"

namespace sentei::cpu::SENTEI_ISA {

using namespace sentei::kernels;
namespace {

constexpr std::int64_t kSparseBlock = 16384;  // neuron form: elements per task
constexpr std::int64_t kSparseChannels = 64;  // channel form: channels per task, one sample

// Tasks, each with one partial sum.
SENTEI_INLINE std::int64_t sparse_penalty_tasks(std::int64_t n, std::int64_t pixels, std::int64_t c,
                                                bool channel) {
  return channel ? n * ceil_div(c, kSparseChannels) : ceil_div(n * pixels * c, kSparseBlock);
}

std::size_t workspace(std::int64_t n, std::int64_t pixels, std::int64_t c, bool channel) {
  return static_cast<std::size_t>(sparse_penalty_tasks(n, pixels, c, channel)) * sizeof(double);
}

// log(1 + u^2), also where u^2 is too large for a float.
SENTEI_INLINE vf log1p_square(vf u) {
  const vf a = vabs(u);
  const vi big = a > splat(0x1p20f);
  const vf small = vlog1p(select(big, splat(0.0f), u * u));
  return select(big, splat(2.0f) * vlog(a), small);
}

// (1 + a)(1 + b) - 1, without losing small a and b: four elements then share one logarithm.
SENTEI_INLINE vf join(vf a, vf b) { return fma(a, b, a + b); }

SENTEI_INLINE bool any(vi m) {
  std::int32_t t[kLanes];
  std::memcpy(t, &m, sizeof m);
  std::int32_t all = 0;
  for (int i = 0; i < kLanes; ++i) all |= t[i];
  return all != 0;
}

SENTEI_INLINE double sum_neurons(std::int64_t begin, std::int64_t end, const float* u) {
  const vf limit = splat(0x1p15f);  // the product of four 1 + u^2 then fits
  double total = 0;
  std::int64_t i = begin;
  while (i < end) {
    const std::int64_t stop = imin(end, i + 64 * kLanes);
    vf sum{};
    for (; i + 4 * kLanes <= stop; i += 4 * kLanes) {
      const vf a = load(u + i), b = load(u + i + kLanes);
      const vf c = load(u + i + 2 * kLanes), d = load(u + i + 3 * kLanes);
      const vf largest = vmax(vmax(vabs(a), vabs(b)), vmax(vabs(c), vabs(d)));
      if (__builtin_expect(any(largest > limit), 0))
        sum += (log1p_square(a) + log1p_square(b)) + (log1p_square(c) + log1p_square(d));
      else
        sum += vlog1p(join(join(a * a, b * b), join(c * c, d * d)));
    }
    for (; i < stop; i += kLanes) {
      const int m = static_cast<int>(imin(kLanes, stop - i));
      sum += log1p_square(load_n(u + i, m));  // lanes beyond m hold 0 and add 0
    }
    i = stop;
    total += static_cast<double>(lane_sum(sum));
  }
  return total;
}

// q of `m` channels from one sample's u on, over the pixels; two levels of sums.
SENTEI_INLINE vf channel_square(std::int64_t pixels, std::int64_t c, const float* u, int m) {
  vf total{};
  for (std::int64_t p = 0; p < pixels;) {
    const std::int64_t stop = imin(pixels, p + 64);
    vf sum{};
    for (; p < stop; ++p) {
      const vf v = m == kLanes ? load(u + p * c) : load_n(u + p * c, m);
      sum = fma(v, v, sum);
    }
    total += sum;
  }
  return total;
}

void forward(std::int64_t n, std::int64_t pixels, std::int64_t c, bool channel, const float* u,
             float* value, double scale, double* partial) {
  const std::int64_t tasks = sparse_penalty_tasks(n, pixels, c, channel);
  const std::int64_t blocks = ceil_div(c, kSparseChannels);
  parallel_for(tasks, [=](std::int64_t task) {
    if (!channel) {
      partial[task] =
          sum_neurons(task * kSparseBlock, imin(n * pixels * c, (task + 1) * kSparseBlock), u);
      return;
    }
    const std::int64_t first = task % blocks * kSparseChannels;
    const float* from = u + task / blocks * pixels * c;
    double total = 0;
    for (std::int64_t k = first; k < imin(c, first + kSparseChannels); k += kLanes) {
      const int m = static_cast<int>(imin(kLanes, c - k));
      total += static_cast<double>(lane_sum(vlog1p(channel_square(pixels, c, from + k, m))));
    }
    partial[task] = total;
  });
  double total = 0;
  for (std::int64_t t = 0; t < tasks; ++t) total += partial[t];
  *value = static_cast<float>(scale * total);
}

// 2u / (1 + u^2) times g; beyond 2^20 that is 2/u to the last place.
SENTEI_INLINE vf slope(vf u, vf g) {
  const vi big = vabs(u) > splat(0x1p20f);
  return g * (select(big, splat(2.0f), u + u) / select(big, u, fma(u, u, splat(1.0f))));
}

void backward(std::int64_t n, std::int64_t pixels, std::int64_t c, bool channel, const float* u,
              const float* dvalue, float* du, double scale) {
  const vf g = splat(static_cast<float>(scale * static_cast<double>(*dvalue)));
  const std::int64_t size = n * pixels * c;
  const std::int64_t blocks = ceil_div(c, kSparseChannels);
  parallel_for(sparse_penalty_tasks(n, pixels, c, channel), [=](std::int64_t task) {
    if (!channel) {
      const std::int64_t end = imin(size, (task + 1) * kSparseBlock);
      std::int64_t i = task * kSparseBlock;
      for (; i + kLanes <= end; i += kLanes) store(du + i, slope(load(u + i), g));
      if (i < end) {
        const int m = static_cast<int>(end - i);
        store_n(du + i, slope(load_n(u + i, m), g), m);
      }
      return;
    }
    const std::int64_t first = task % blocks * kSparseChannels;
    const std::int64_t start = task / blocks * pixels * c;
    for (std::int64_t k = first; k < imin(c, first + kSparseChannels); k += kLanes) {
      const int m = static_cast<int>(imin(kLanes, c - k));
      const vf q = channel_square(pixels, c, u + start + k, m);
      const vf factor = (g + g) / (splat(1.0f) + q);
      for (std::int64_t p = 0; p < pixels; ++p) {
        const std::int64_t at = start + p * c + k;
        if (m == kLanes)
          store(du + at, load(u + at) * factor);
        else
          store_n(du + at, load_n(u + at, m) * factor, m);
      }
    }
  });
}

}  // namespace

extern const SparsePenaltyKernels sparse_penalty_kernels;
const SparsePenaltyKernels sparse_penalty_kernels = {workspace, forward, backward};

}  // namespace sentei::cpu::SENTEI_ISA
