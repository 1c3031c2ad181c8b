// y = x m per channel, 8 bytes per element; backward dx = dy m and dm = sum dy x in one pass, 12.
// The matrix is read as one flat array of vectors whose channels repeat every units = lcm(C, V) / V
// of them: a thread strides by a multiple S of units, so that its V channels stay the same and m
// stays in registers, for every C. Where units is larger than a block, blocks share the columns
// (x). Sums: a thread in floats for 64 steps, then in doubles; then its block's threads of a
// channel, then the slices of the grid (y), always in the same order.
#include <algorithm>

#include "cuda/device/elementwise.cuh"
#include "cuda/device/reduce.cuh"
#include "cuda/device/vectors.cuh"
#include "cuda/table.cuh"
#include "kernels/channel_scale.hpp"

namespace sentei::cuda {
namespace {

constexpr int kThreads = 256, kBatch = 2;
constexpr std::int64_t kBlocks = 528;  // four for each of 132 multiprocessors
constexpr std::int64_t kChunk = 64;    // steps that a thread adds in floats

struct Plan {
  std::int64_t n, C;
  std::int64_t S;         // vectors of a step, a multiple of units
  std::int64_t per;       // steps of a slice
  std::int64_t slices;    // grid.y, at most 2 kBlocks
  std::int64_t tiles;     // grid.x
  std::int64_t partials;  // rows of C partial sums
  int threads;            // of a block, S or more where there is one tile
};

// At most `blocks` blocks of at least `least` steps.
Plan plan_for(std::int64_t rows, std::int64_t C, int vec, std::int64_t least, std::int64_t blocks) {
  Plan p{};
  p.n = rows * C;
  p.C = C;
  const std::int64_t shared = vec == 4 ? (C % 4 == 0 ? 4 : C % 2 == 0 ? 2 : 1) : 1;  // gcd(C, vec)
  const std::int64_t units = C / shared;
  p.S = units > kThreads ? units : kThreads / units * units;
  p.threads = p.S > kThreads ? kThreads : static_cast<int>(ceil_div(p.S, 32) * 32);
  p.tiles = ceil_div(p.S, p.threads);
  const std::int64_t steps = ceil_div(p.n, p.S * vec);
  p.slices = std::clamp<std::int64_t>(ceil_div(steps, least), 1,
                                      std::max<std::int64_t>(1, blocks / p.tiles));
  p.per = ceil_div(steps, p.slices);
  p.partials = p.tiles > 1 ? p.slices * p.S * vec / C : p.slices;
  return p;
}
Plan plan_backward(std::int64_t rows, std::int64_t C, int vec) {
  return plan_for(rows, C, vec, 4, kBlocks);
}

// out = in m for the vectors first, first + S, ... (count of them, some past the end); where sums
// are wanted, in x is added to them.
template <int V, bool Sums>
__device__ __forceinline__ void walk(const Plan& p, std::int64_t first, std::int64_t count,
                                     const float (&m)[V], const float* in, const float* x,
                                     float* out, float (&sum)[V]) {
  const std::int64_t whole = p.n / V;
  for (std::int64_t k = 0; k < count; k += kBatch) {
    Vec<V> a[kBatch], b[kBatch];
#pragma unroll
    for (int j = 0; j < kBatch; ++j) {
      const std::int64_t i = first + (k + j) * p.S;
      if (k + j < count && i < whole) {
        a[j] = load<V>(in + i * V);
        if constexpr (Sums) b[j] = load<V>(x + i * V);
      }
    }
#pragma unroll
    for (int j = 0; j < kBatch; ++j) {
      const std::int64_t i = first + (k + j) * p.S;
      if (k + j < count && i < whole) {
#pragma unroll
        for (int c = 0; c < V; ++c) {
          if constexpr (Sums) sum[c] = fmaf(a[j].v[c], b[j].v[c], sum[c]);
          a[j].v[c] *= m[c];
        }
        store<V>(out + i * V, a[j]);
      } else if (V > 1 && k + j < count && i == whole) {  // the last, incomplete vector
#pragma unroll
        for (int c = 0; c < V; ++c) {
          const std::int64_t e = i * V + c;
          if (e < p.n) {
            const float v = in[e];
            if constexpr (Sums) sum[c] = fmaf(v, x[e], sum[c]);
            out[e] = v * m[c];
          }
        }
      }
    }
  }
}

template <int V>
__device__ __forceinline__ void factors(const Plan& p, std::int64_t v, const float* m,
                                        float (&own)[V]) {
  std::int64_t channel = v * V % p.C;
#pragma unroll
  for (int c = 0; c < V; ++c) {
    own[c] = m[channel];
    if (++channel == p.C) channel = 0;
  }
}

template <int V>
__global__ void __launch_bounds__(kThreads)
    channel_scale_forward_kernel(Plan p, const float* x, const float* m, float* y) {
  const std::int64_t v = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (v >= p.S) return;
  float own[V], none[V];
  factors<V>(p, v, m, own);
  walk<V, false>(p, std::int64_t{blockIdx.y} * p.per * p.S + v, p.per, own, x, nullptr, y, none);
}

template <int V>
__global__ void __launch_bounds__(kThreads)
    channel_scale_backward_kernel(Plan p, const float* dy, const float* x, const float* m,
                                  float* dx, double* partial) {
  SENTEI_SHARED(double, sums, [V * kThreads]);
  const int thread = static_cast<int>(threadIdx.x);
  const std::int64_t v = std::int64_t{blockIdx.x} * blockDim.x + thread;
  double total[V] = {};
  if (v < p.S) {
    float own[V];
    factors<V>(p, v, m, own);
    for (std::int64_t k = 0; k < p.per; k += kChunk) {
      float sum[V] = {};
      walk<V, true>(p, (std::int64_t{blockIdx.y} * p.per + k) * p.S + v,
                    p.per - k < kChunk ? p.per - k : kChunk, own, dy, x, dx, sum);
#pragma unroll
      for (int c = 0; c < V; ++c) total[c] += static_cast<double>(sum[c]);
    }
  }
  if (p.tiles > 1) {  // no two threads of a block have a channel in common
    if (v < p.S) {
#pragma unroll
      for (int c = 0; c < V; ++c)
        partial[std::int64_t{blockIdx.y} * p.S * V + v * V + c] = total[c];
    }
    return;  // the whole grid does
  }
#pragma unroll
  for (int c = 0; c < V; ++c) sums[thread * V + c] = total[c];
  __syncthreads();
  // Element i of `sums` belongs to channel i mod C.
  const int C = static_cast<int>(p.C), entries = static_cast<int>(p.S) * V;
  double* const to = partial + std::int64_t{blockIdx.y} * C;
  if (entries <= 16 * C) {
    for (int c = thread; c < C; c += static_cast<int>(blockDim.x)) {
      double sum = 0;
      for (int i = c; i < entries; i += C) sum += sums[i];
      to[c] = sum;
    }
  } else {  // few channels: a warp adds one
    const int lane = thread % 32, warps = static_cast<int>(blockDim.x) / 32;
    for (int c = thread / 32; c < C; c += warps) {
      double sum = 0;
      for (int i = c + lane * C; i < entries; i += 32 * C) sum += sums[i];
      sum = warp_sum(sum);
      if (lane == 0) to[c] = sum;
    }
  }
}

std::size_t workspace_bytes(std::int64_t rows, std::int64_t C) {
  if (C == 0) return 0;
  const std::int64_t wide = plan_backward(rows, C, 4).partials,
                     narrow = plan_backward(rows, C, 1).partials;
  return static_cast<std::size_t>((wide > narrow ? wide : narrow) * C) * sizeof(double);
}

void forward(std::int64_t rows, std::int64_t C, const float* x, const float* m, float* y,
             std::byte*) {
  const bool wide = aligned16(x) && aligned16(y);
  const Plan p = plan_for(rows, C, wide ? 4 : 1, 2, 2 * kBlocks);
  launch("channel_scale_forward_kernel",
         wide ? channel_scale_forward_kernel<4> : channel_scale_forward_kernel<1>,
         dim3(static_cast<unsigned>(p.tiles), static_cast<unsigned>(p.slices)), p.threads, 0, p, x,
         m, y);
}

void backward(std::int64_t rows, std::int64_t C, const float* dy, const float* x, const float* m,
              float* dx, float* dm, std::byte* workspace) {
  const bool wide = aligned16(dy) && aligned16(x) && aligned16(dx);
  const Plan p = plan_backward(rows, C, wide ? 4 : 1);
  auto* const partial = reinterpret_cast<double*>(workspace);
  launch("channel_scale_backward_kernel",
         wide ? channel_scale_backward_kernel<4> : channel_scale_backward_kernel<1>,
         dim3(static_cast<unsigned>(p.tiles), static_cast<unsigned>(p.slices)), p.threads, 0, p, dy,
         x, m, dx, partial);
  finish_columns("channel_scale_backward_finish_kernel", p.partials, C, partial, dm);
}

}  // namespace
}  // namespace sentei::cuda
SENTEI_CUDA_TABLE(ChannelScaleKernels, channel_scale_kernels, workspace_bytes, forward, backward)
