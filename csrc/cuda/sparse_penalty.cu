// value = scale * sum log(1 + q), du = dvalue scale 2u / (1 + q), q = u^2 per element (neuron form)
// or summed over a channel's pixels (channel form; a single pixel makes it the neuron form).
// Forward, 4 bytes per element: neuron: four elements share one logarithm, each thread adds up in
// double, then the block in a tree; channel: a block owns one sample and up to 32 channels, lanes
// are channels, the other threads cut the pixels (floats over 64 of them, then doubles, then the
// cuts in order). One partial sum per block; a second launch adds them, 1024 threads in order, then
// a tree. Backward: neuron 8 bytes per element; channel the same from memory, the second reading of
// a sample's channels coming from the L2 cache.
#include "cuda/device/group_sum.cuh"
#include "cuda/device/scalar_map.cuh"
#include "cuda/table.cuh"
#include "kernels/sparse_penalty.hpp"

namespace sentei::cuda {
namespace {

constexpr int kThreads = 256, kValueThreads = 1024;
constexpr std::int64_t kNeurons = 4096;  // elements per block of the neuron form, at least
constexpr std::int64_t kBlocks = 2112;   // of the neuron form, at most

// log(1 + u^2), also where u^2 is too large for a float.
__device__ __forceinline__ float log1p_square(float u) {
  const float a = fabsf(u);
  return a > 0x1p20f ? 2.0f * logf(a) : log1pf(a * a);
}

// (1 + a)(1 + b) - 1, without losing small a and b.
__device__ __forceinline__ float join(float a, float b) { return fmaf(a, b, a + b); }

__device__ __forceinline__ float log1p_squares(const float4& u) {
  const float largest = fmaxf(fmaxf(fabsf(u.x), fabsf(u.y)), fmaxf(fabsf(u.z), fabsf(u.w)));
  if (largest > 0x1p15f)  // the product of four 1 + u^2 would not fit
    return (log1p_square(u.x) + log1p_square(u.y)) + (log1p_square(u.z) + log1p_square(u.w));
  return log1pf(join(join(u.x * u.x, u.y * u.y), join(u.z * u.z, u.w * u.w)));
}

__global__ void __launch_bounds__(kThreads)
    sparse_penalty_forward_neuron_kernel(std::int64_t size, std::int64_t vectors, const float* u,
                                         double* partial) {
  SENTEI_SHARED(double, slots, [kThreads / 32]);
  const std::int64_t first = std::int64_t{blockIdx.x} * kThreads + threadIdx.x;
  const std::int64_t step = std::int64_t{gridDim.x} * kThreads;
  double sum = 0;
#pragma unroll 4
  for (std::int64_t i = first; i < vectors; i += step)
    sum += static_cast<double>(log1p_squares(reinterpret_cast<const float4*>(u)[i]));
  for (std::int64_t i = 4 * vectors + first; i < size; i += step)
    sum += static_cast<double>(log1p_square(u[i]));
  sum = block_sum<kThreads>(sum, slots);
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

// Threads of a block: `lanes` channels, as many cuts of the pixels as there is room for.
struct Channels {
  std::int64_t pixels, c, blocks;  // blocks per sample
  int shift;                       // lanes = 1 << shift, 32 at most
};

// q of this thread's channel in every thread of cut 0; sums: shared, one per thread.
__device__ __forceinline__ double channel_square(const Channels& s, const float* u, bool here,
                                                 double* sums) {
  const int lanes = 1 << s.shift, cuts = kThreads >> s.shift;
  const int cut = static_cast<int>(threadIdx.x) >> s.shift;
  double sum = 0;
  for (std::int64_t p = here ? cut : s.pixels; p < s.pixels;) {
    float part = 0;
#pragma unroll 8
    for (int k = 0; k < 64; ++k, p += cuts) {
      const float v = p < s.pixels ? u[p * s.c] : 0.0f;
      part = fmaf(v, v, part);
    }
    sum += static_cast<double>(part);
  }
  sums[threadIdx.x] = sum;
  __syncthreads();
  double q = 0;
  if (cut == 0)
    for (int k = 0; k < cuts; ++k) q += sums[k * lanes + static_cast<int>(threadIdx.x)];
  return q;
}

__global__ void __launch_bounds__(kThreads)
    sparse_penalty_forward_channel_kernel(Channels s, const float* u, double* partial) {
  SENTEI_SHARED(double, sums, [kThreads]);
  SENTEI_SHARED(double, slots, [kThreads / 32]);
  const std::int64_t sample = blockIdx.x / s.blocks;
  const int lanes = 1 << s.shift, lane = static_cast<int>(threadIdx.x) & (lanes - 1);
  const std::int64_t channel = (blockIdx.x - sample * s.blocks) * lanes + lane;
  const bool here = channel < s.c;
  const double q =
      channel_square(s, u + sample * s.pixels * s.c + (here ? channel : 0), here, sums);
  const double total = block_sum<kThreads>(log1p(q), slots);  // other cuts have q = 0
  if (threadIdx.x == 0) partial[blockIdx.x] = total;
}

__global__ void __launch_bounds__(kValueThreads)
    sparse_penalty_value_kernel(std::int64_t n, const double* partial, double scale, float* value) {
  SENTEI_SHARED(double, slots, [kValueThreads / 32]);
  double sum = 0;
  for (std::int64_t i = threadIdx.x; i < n; i += kValueThreads) sum += partial[i];
  sum = block_sum<kValueThreads>(sum, slots);
  if (threadIdx.x == 0) *value = static_cast<float>(scale * sum);
}

// du may be u: a block reads and writes its own channels only.
__global__ void __launch_bounds__(kThreads)
    sparse_penalty_backward_channel_kernel(Channels s, const float* u, const float* dvalue,
                                           float* du, double scale) {
  SENTEI_SHARED(double, sums, [kThreads]);
  SENTEI_SHARED(float, factors, [32]);
  const std::int64_t sample = blockIdx.x / s.blocks;
  const int lanes = 1 << s.shift, lane = static_cast<int>(threadIdx.x) & (lanes - 1);
  const std::int64_t channel = (blockIdx.x - sample * s.blocks) * lanes + lane;
  const bool here = channel < s.c;
  const std::int64_t at = sample * s.pixels * s.c + (here ? channel : 0);
  const double q = channel_square(s, u + at, here, sums);
  if (static_cast<int>(threadIdx.x) < lanes)
    factors[lane] = static_cast<float>(2 * scale * static_cast<double>(*dvalue) / (1 + q));
  __syncthreads();
  const float factor = factors[lane];
  const std::int64_t cuts = kThreads >> s.shift;
#pragma unroll 4
  for (std::int64_t p = here ? threadIdx.x >> s.shift : s.pixels; p < s.pixels; p += cuts)
    du[at + p * s.c] = u[at + p * s.c] * factor;
}

// 2u / (1 + u^2) times g; beyond 2^20 that is 2/u to the last place.
struct Slope {
  float g;
  __device__ float operator()(float u) const {
    const bool big = fabsf(u) > 0x1p20f;
    return g * ((big ? 2.0f : u + u) / (big ? u : fmaf(u, u, 1.0f)));
  }
};
struct MakeSlope {
  const float* dvalue;
  double scale;
  __device__ Slope operator()() const {
    return {static_cast<float>(scale * static_cast<double>(*dvalue))};
  }
};

Channels channels_of(std::int64_t pixels, std::int64_t c) {
  Channels s{pixels, c, 0, 0};
  while (s.shift < 5 && (std::int64_t{1} << s.shift) < c) ++s.shift;
  s.blocks = ceil_div(c, std::int64_t{1} << s.shift);
  return s;
}

std::int64_t blocks_of(std::int64_t n, std::int64_t pixels, std::int64_t c, bool channel) {
  if (n * pixels * c == 0) return 0;
  if (channel && pixels > 1) return n * channels_of(pixels, c).blocks;
  return blocks_for(n * pixels * c, kNeurons, kBlocks);
}

std::size_t workspace(std::int64_t n, std::int64_t pixels, std::int64_t c, bool channel) {
  return static_cast<std::size_t>(blocks_of(n, pixels, c, channel)) * sizeof(double);
}

void forward(std::int64_t n, std::int64_t pixels, std::int64_t c, bool channel, const float* u,
             float* value, double scale, double* partial) {
  const std::int64_t blocks = blocks_of(n, pixels, c, channel), size = n * pixels * c;
  const auto grid = static_cast<unsigned>(blocks);
  if (channel && pixels > 1)
    launch("sparse_penalty_forward_channel_kernel", sparse_penalty_forward_channel_kernel, grid,
           kThreads, 0, channels_of(pixels, c), u, partial);
  else
    launch("sparse_penalty_forward_neuron_kernel", sparse_penalty_forward_neuron_kernel, grid,
           kThreads, 0, size, aligned16(u) ? size / 4 : 0, u, partial);
  launch("sparse_penalty_value_kernel", sparse_penalty_value_kernel, 1, kValueThreads, 0, blocks,
         partial, scale, value);
}

void backward(std::int64_t n, std::int64_t pixels, std::int64_t c, bool channel, const float* u,
              const float* dvalue, float* du, double scale) {
  if (channel && pixels > 1)
    launch("sparse_penalty_backward_channel_kernel", sparse_penalty_backward_channel_kernel,
           static_cast<unsigned>(blocks_of(n, pixels, c, channel)), kThreads, 0,
           channels_of(pixels, c), u, dvalue, du, scale);
  else
    scalar_map("sparse_penalty_backward_neuron_kernel", n * pixels * c, du,
               MakeSlope{dvalue, scale}, u);
}

}  // namespace
}  // namespace sentei::cuda
SENTEI_CUDA_TABLE(SparsePenaltyKernels, sparse_penalty_kernels, workspace, forward, backward)
