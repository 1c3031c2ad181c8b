// y = exp(x - max x) / sum exp(x - max x) per row: 8 bytes moved per element; dx = y (dy - sum y
// dy):
// 12. Rows of up to 1024 elements: W lanes of a warp hold a row in registers, E elements each. Up
// to 4096: a block holds one. Longer: a block reads the row twice (the second time mostly from the
// cache), the first with a running maximum that rescales the sum. A lane adds its elements in
// order, then lanes as a tree, then warps in order.
#include "cuda/device/reduce.cuh"
#include "cuda/table.cuh"
#include "kernels/softmax.hpp"

namespace sentei::cuda {
namespace {

constexpr int kWarpThreads = 128, kBlockThreads = 256, kLongThreads = 512;
constexpr int kBlockEach = 16;  // elements of a thread in a block that holds its row

template <int W, int E>
__global__ void __launch_bounds__(kWarpThreads)
    softmax_forward_warp_kernel(std::int64_t rows, int k, const float* x, float* y) {
  constexpr int kPer = kWarpThreads / W;
  const int lane = static_cast<int>(threadIdx.x) % W, group = static_cast<int>(threadIdx.x) / W;
  // The whole block stays in step, for the shuffles.
  for (std::int64_t base = std::int64_t{blockIdx.x} * kPer; base < rows;
       base += std::int64_t{gridDim.x} * kPer) {
    const std::int64_t row = base + group;
    float v[E];
    float top = -INFINITY;
#pragma unroll
    for (int e = 0; e < E; ++e) {
      const int c = lane + e * W;
      v[e] = row < rows && c < k ? x[row * k + c] : -INFINITY;
      top = fmaxf(top, v[e]);
    }
    top = warp_max<W>(top);
    float sum = 0.0f;
#pragma unroll
    for (int e = 0; e < E; ++e) {
      v[e] = lane + e * W < k ? expf(v[e] - top) : 0.0f;
      sum += v[e];
    }
    const float scale = 1.0f / warp_sum<W>(sum);  // the largest term is 1: never 0
#pragma unroll
    for (int e = 0; e < E; ++e) {
      const int c = lane + e * W;
      if (row < rows && c < k) y[row * k + c] = v[e] * scale;
    }
  }
}

template <int W, int E>
__global__ void __launch_bounds__(kWarpThreads)
    softmax_backward_warp_kernel(std::int64_t rows, int k, const float* y, const float* dy,
                                 float* dx) {
  constexpr int kPer = kWarpThreads / W;
  const int lane = static_cast<int>(threadIdx.x) % W, group = static_cast<int>(threadIdx.x) / W;
  for (std::int64_t base = std::int64_t{blockIdx.x} * kPer; base < rows;
       base += std::int64_t{gridDim.x} * kPer) {
    const std::int64_t row = base + group;
    float v[E], d[E];
    float sum = 0.0f;
#pragma unroll
    for (int e = 0; e < E; ++e) {
      const int c = lane + e * W;
      const bool in = row < rows && c < k;
      v[e] = in ? y[row * k + c] : 0.0f;
      d[e] = in ? dy[row * k + c] : 0.0f;
    }
#pragma unroll
    for (int e = 0; e < E; ++e) sum = fmaf(v[e], d[e], sum);
    const float mean = warp_sum<W>(sum);
#pragma unroll
    for (int e = 0; e < E; ++e) {
      const int c = lane + e * W;
      if (row < rows && c < k) dx[row * k + c] = v[e] * (d[e] - mean);
    }
  }
}

__global__ void __launch_bounds__(kBlockThreads)
    softmax_forward_block_kernel(int k, const float* x, float* y) {
  const std::int64_t row = std::int64_t{blockIdx.x} * k;
  float v[kBlockEach];
  float top = -INFINITY;
#pragma unroll
  for (int e = 0; e < kBlockEach; ++e) {
    const int c = static_cast<int>(threadIdx.x) + e * kBlockThreads;
    v[e] = c < k ? x[row + c] : -INFINITY;
    top = fmaxf(top, v[e]);
  }
  top = block_max<kBlockThreads>(top);
  float sum = 0.0f;
#pragma unroll
  for (int e = 0; e < kBlockEach; ++e) {
    v[e] = static_cast<int>(threadIdx.x) + e * kBlockThreads < k ? expf(v[e] - top) : 0.0f;
    sum += v[e];
  }
  const float scale = 1.0f / block_sum<kBlockThreads>(sum);
#pragma unroll
  for (int e = 0; e < kBlockEach; ++e) {
    const int c = static_cast<int>(threadIdx.x) + e * kBlockThreads;
    if (c < k) y[row + c] = v[e] * scale;
  }
}

__global__ void __launch_bounds__(kBlockThreads)
    softmax_backward_block_kernel(int k, const float* y, const float* dy, float* dx) {
  const std::int64_t row = std::int64_t{blockIdx.x} * k;
  float v[kBlockEach], d[kBlockEach];
  float sum = 0.0f;
#pragma unroll
  for (int e = 0; e < kBlockEach; ++e) {
    const int c = static_cast<int>(threadIdx.x) + e * kBlockThreads;
    v[e] = c < k ? y[row + c] : 0.0f;
    d[e] = c < k ? dy[row + c] : 0.0f;
  }
#pragma unroll
  for (int e = 0; e < kBlockEach; ++e) sum = fmaf(v[e], d[e], sum);
  const float mean = block_sum<kBlockThreads>(sum);
#pragma unroll
  for (int e = 0; e < kBlockEach; ++e) {
    const int c = static_cast<int>(threadIdx.x) + e * kBlockThreads;
    if (c < k) dx[row + c] = v[e] * (d[e] - mean);
  }
}

__global__ void __launch_bounds__(kLongThreads)
    softmax_forward_long_kernel(std::int64_t k, const float* x, float* y) {
  const float* const from = x + blockIdx.x * k;
  float* const to = y + blockIdx.x * k;
  float top = -INFINITY, sum = 0.0f;
#pragma unroll 4
  for (std::int64_t c = threadIdx.x; c < k; c += kLongThreads) {
    const float v = from[c];
    if (v > top) {
      sum = fmaf(sum, expf(top - v), 1.0f);
      top = v;
    } else if (v != -INFINITY) {  // adds nothing, but its difference to a top of -inf is NaN
      sum += expf(v - top);
    }
  }
  const float all = block_max<kLongThreads>(top);
  // A thread that saw only -inf adds 0; a row with +inf, or of -inf alone, becomes NaN here.
  const float scale = 1.0f / block_sum<kLongThreads>(sum * expf(top - all));
#pragma unroll 4
  for (std::int64_t c = threadIdx.x; c < k; c += kLongThreads) to[c] = expf(from[c] - all) * scale;
}

__global__ void __launch_bounds__(kLongThreads)
    softmax_backward_long_kernel(std::int64_t k, const float* y, const float* dy, float* dx) {
  const std::int64_t row = blockIdx.x * k;
  float sum = 0.0f;
#pragma unroll 4
  for (std::int64_t c = threadIdx.x; c < k; c += kLongThreads)
    sum = fmaf(y[row + c], dy[row + c], sum);
  const float mean = block_sum<kLongThreads>(sum);
#pragma unroll 4
  for (std::int64_t c = threadIdx.x; c < k; c += kLongThreads)
    dx[row + c] = y[row + c] * (dy[row + c] - mean);
}

template <int W, int E>
void forward_warp(std::int64_t rows, std::int64_t k, const float* x, float* y) {
  launch("softmax_forward_warp_kernel", softmax_forward_warp_kernel<W, E>,
         blocks_for(rows, kWarpThreads / W), kWarpThreads, 0, rows, static_cast<int>(k), x, y);
}

template <int W, int E>
void backward_warp(std::int64_t rows, std::int64_t k, const float* y, const float* dy, float* dx) {
  launch("softmax_backward_warp_kernel", softmax_backward_warp_kernel<W, E>,
         blocks_for(rows, kWarpThreads / W), kWarpThreads, 0, rows, static_cast<int>(k), y, dy, dx);
}

void forward(std::int64_t rows, std::int64_t k, const float* x, float* y) {
  if (k <= 8) return forward_warp<8, 1>(rows, k, x, y);
  if (k <= 16) return forward_warp<8, 2>(rows, k, x, y);
  if (k <= 32) return forward_warp<32, 1>(rows, k, x, y);
  if (k <= 128) return forward_warp<32, 4>(rows, k, x, y);
  if (k <= 512) return forward_warp<32, 16>(rows, k, x, y);
  if (k <= 1024) return forward_warp<32, 32>(rows, k, x, y);
  const auto blocks = static_cast<unsigned>(rows);
  if (k <= kBlockThreads * kBlockEach)
    return launch("softmax_forward_block_kernel", softmax_forward_block_kernel, blocks,
                  kBlockThreads, 0, static_cast<int>(k), x, y);
  launch("softmax_forward_long_kernel", softmax_forward_long_kernel, blocks, kLongThreads, 0, k, x,
         y);
}

void backward(std::int64_t rows, std::int64_t k, const float* y, const float* dy, float* dx) {
  if (k <= 8) return backward_warp<8, 1>(rows, k, y, dy, dx);
  if (k <= 16) return backward_warp<8, 2>(rows, k, y, dy, dx);
  if (k <= 32) return backward_warp<32, 1>(rows, k, y, dy, dx);
  if (k <= 128) return backward_warp<32, 4>(rows, k, y, dy, dx);
  if (k <= 512) return backward_warp<32, 16>(rows, k, y, dy, dx);
  if (k <= 1024) return backward_warp<32, 32>(rows, k, y, dy, dx);
  const auto blocks = static_cast<unsigned>(rows);
  if (k <= kBlockThreads * kBlockEach)
    return launch("softmax_backward_block_kernel", softmax_backward_block_kernel, blocks,
                  kBlockThreads, 0, static_cast<int>(k), y, dy, dx);
  launch("softmax_backward_long_kernel", softmax_backward_long_kernel, blocks, kLongThreads, 0, k,
         y, dy, dx);
}

}  // namespace
}  // namespace sentei::cuda
SENTEI_CUDA_TABLE(SoftmaxKernels, softmax_kernels, forward, backward)
