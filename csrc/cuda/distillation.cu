// Distillation; formulas as in csrc/cpu/distillation.cpp. A warp, or for wide rows a block, owns a
// row: logits, teacher and dlogits are read from memory once (the second pass finds them in cache)
// and dlogits are written once, 16 bytes per element. Row sums in double, threads in order, then a
// tree; the samples in double by 1024 threads, then a tree.
#include "cuda/device/group_sum.cuh"
#include "cuda/table.cuh"
#include "kernels/distillation.hpp"

namespace sentei::cuda {
namespace {

constexpr int kThreads = 256, kFinishThreads = 1024;

template <int kLanes>
__device__ __forceinline__ float group_largest(float v, float* slots) {
#pragma unroll
  for (int m = 16; m > 0; m /= 2) v = fmaxf(v, __shfl_xor_sync(~0u, v, m));
  if constexpr (kLanes > 32) {
    if (threadIdx.x % 32 == 0) slots[threadIdx.x / 32] = v;
    __syncthreads();
    v = slots[0];
    for (int i = 1; i < kThreads / 32; ++i) v = fmaxf(v, slots[i]);
    __syncthreads();
  }
  return v;
}

template <int kLanes>
__global__ void __launch_bounds__(kThreads)
    distillation_forward_kernel(std::int64_t n, std::int64_t k, const float* logits,
                                const float* teacher, float alpha, float temperature,
                                float* per_sample, float* dlogits) {
  SENTEI_SHARED(double, slots, [kThreads / 32]);
  SENTEI_SHARED(float, tops, [kThreads / 32]);
  constexpr int kRows = kThreads / kLanes;
  const int lane = threadIdx.x % kLanes;
  const float share = 1 / temperature;
  const std::int64_t step = std::int64_t{gridDim.x} * kRows;
  for (std::int64_t first = std::int64_t{blockIdx.x} * kRows; first < n; first += step) {
    const std::int64_t row = first + threadIdx.x / kLanes;
    const bool here = row < n;
    const std::int64_t width = here ? k : 0, at = here ? row * k : 0;
    const float *z = logits + at, *t = teacher + at;
    float* d = dlogits + at;
    float z0 = -INFINITY, t0 = -INFINITY;  // a NaN is passed over here and found by the sums
    for (std::int64_t j = lane; j < width; j += kLanes) {
      z0 = fmaxf(z0, z[j]);
      t0 = fmaxf(t0, t[j]);
    }
    z0 = group_largest<kLanes>(z0, tops);
    t0 = group_largest<kLanes>(t0, tops);
    double q = 0, p = 0, m = 0;
    for (std::int64_t j = lane; j < width; j += kLanes) {
      const float u = (z[j] - z0) * share, v = (t[j] - t0) * share, e = expf(v);
      q += static_cast<double>(expf(u));
      p += static_cast<double>(e);
      m += static_cast<double>(e * (v - u));
    }
    q = group_sum<kLanes, kThreads>(q, slots);
    p = group_sum<kLanes, kThreads>(p, slots);
    m = group_sum<kLanes, kThreads>(m, slots);
    const float q1 = static_cast<float>(1 / q), p1 = static_cast<float>(1 / p);
    for (std::int64_t j = lane; j < width; j += kLanes) {
      const float away = expf((z[j] - z0) * share) * q1 - expf((t[j] - t0) * share) * p1;
      d[j] = (1 - alpha) * d[j] + alpha * temperature * away;
    }
    if (here && lane == 0) {
      const double kl = m / p + log(q) - log(p), least = kl < 0 ? 0 : kl;
      const double weight = static_cast<double>(alpha) * static_cast<double>(temperature) *
                            static_cast<double>(temperature);
      per_sample[row] = (1 - alpha) * per_sample[row] + static_cast<float>(weight * least);
    }
  }
}

__global__ void __launch_bounds__(kFinishThreads)
    distillation_finish_kernel(std::int64_t n, const float* per_sample, bool mean, float* loss) {
  SENTEI_SHARED(double, slots, [kFinishThreads / 32]);
  double sum = 0;
  for (std::int64_t i = threadIdx.x; i < n; i += kFinishThreads)
    sum += static_cast<double>(per_sample[i]);
  sum = block_sum<kFinishThreads>(sum, slots);
  if (threadIdx.x == 0) *loss = static_cast<float>(mean && n ? sum / static_cast<double>(n) : sum);
}

void mix(std::int64_t n, std::int64_t k, const float* logits, const float* teacher, float alpha,
         float temperature, bool mean, float* loss, float* per_sample, float* dlogits) {
  const auto go = [&](auto* kernel, int lanes) {
    launch("distillation_forward_kernel", kernel, blocks_for(n, kThreads / lanes, 8192), kThreads,
           0, n, k, logits, teacher, alpha, temperature, per_sample, dlogits);
  };
  if (n > 0) {
    if (k <= 2048)
      go(distillation_forward_kernel<32>, 32);
    else
      go(distillation_forward_kernel<kThreads>, kThreads);
  }
  launch("distillation_finish_kernel", distillation_finish_kernel, 1, kFinishThreads, 0, n,
         static_cast<const float*>(per_sample), mean, loss);
}

}  // namespace
}  // namespace sentei::cuda
SENTEI_CUDA_TABLE(DistillationKernels, distillation_kernels, mix)
