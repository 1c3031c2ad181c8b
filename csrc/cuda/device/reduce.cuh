// Sums in a fixed order: the same run gives the same bits, whatever the schedule.
//   warp_sum<W>(v), warp_max<W>(v): over groups of W neighbouring lanes; every lane gets the
//   result. block_sum<Threads>(v): over a one-dimensional block of Threads; every thread gets the
//   result.
//     All threads must call it; two barriers, so calls may follow one another.
//   finish_sum(...), finish_columns(...): launch the second stage over the partial sums that the
//     blocks of a first kernel wrote (double or float; use double for many terms).
#pragma once
#include "cuda/launch.cuh"

namespace sentei::cuda {

constexpr unsigned kFullWarp = 0xffffffffu;

template <int W = 32, class T>
__device__ __forceinline__ T warp_sum(T v) {
#pragma unroll
  for (int lane = W / 2; lane > 0; lane /= 2) v += __shfl_xor_sync(kFullWarp, v, lane);
  return v;
}

template <int W = 32>
__device__ __forceinline__ float warp_max(float v) {  // NaN only where all are
#pragma unroll
  for (int lane = W / 2; lane > 0; lane /= 2) v = fmaxf(v, __shfl_xor_sync(kFullWarp, v, lane));
  return v;
}

// N sums at once: v[i] becomes the block's sum of v[i].
template <int Threads, int N, class T>
__device__ __forceinline__ void block_sums(T (&v)[N]) {
  static_assert(Threads % 32 == 0 && Threads <= 1024, "whole warps");
  constexpr int kWarps = Threads / 32;
  SENTEI_SHARED(T, slots, [kWarps * N]);
#pragma unroll
  for (int i = 0; i < N; ++i) {
    v[i] = warp_sum(v[i]);
    if (threadIdx.x % 32 == 0) slots[i * kWarps + threadIdx.x / 32] = v[i];
  }
  __syncthreads();
#pragma unroll
  for (int i = 0; i < N; ++i) {
    v[i] = slots[i * kWarps];
#pragma unroll
    for (int w = 1; w < kWarps; ++w) v[i] += slots[i * kWarps + w];
  }
  __syncthreads();  // the slots may be written again
}

template <int Threads, class T>
__device__ __forceinline__ T block_sum(T v) {
  T one[1] = {v};
  block_sums<Threads>(one);
  return one[0];
}

template <int Threads>
__device__ __forceinline__ float block_max(float v) {
  constexpr int kWarps = Threads / 32;
  SENTEI_SHARED(float, tops, [kWarps]);
  v = warp_max(v);
  if (threadIdx.x % 32 == 0) tops[threadIdx.x / 32] = v;
  __syncthreads();
  v = tops[0];
#pragma unroll
  for (int w = 1; w < kWarps; ++w) v = fmaxf(v, tops[w]);
  __syncthreads();
  return v;
}

// out[c] = finish(sum over s of partial[s C + c], c). Block: 32 columns; thread (k, c) adds slices
// k, k + 32, ... in order, then the 32 subtotals of a column are added as a tree.
template <class T, class F>
__global__ void __launch_bounds__(1024)
    finish_columns_kernel(std::int64_t slices, std::int64_t C, const T* partial, float* out,
                          F finish) {
  SENTEI_SHARED(T, tile, [32 * 33]);
  const int lane = static_cast<int>(threadIdx.x % 32), k = static_cast<int>(threadIdx.x / 32);
  const std::int64_t first = std::int64_t{blockIdx.x} * 32;
  T sum = 0;
  if (first + lane < C) {
#pragma unroll 8
    for (std::int64_t s = k; s < slices; s += 32) sum += partial[s * C + first + lane];
  }
  tile[k * 33 + lane] = sum;
  __syncthreads();
  const T total = warp_sum(tile[lane * 33 + k]);
  if (lane == 0 && first + k < C) out[first + k] = finish(total, first + k);
}

// out[0] = finish(sum of partial[0 .. count), 0): one block, in order of threads.
template <class T, class F>
__global__ void __launch_bounds__(256)
    finish_sum_kernel(std::int64_t count, const T* partial, float* out, F finish) {
  T sum = 0;
#pragma unroll 8
  for (std::int64_t i = threadIdx.x; i < count; i += 256) sum += partial[i];
  sum = block_sum<256>(sum);
  if (threadIdx.x == 0) *out = finish(sum, 0);
}

struct RoundToFloat {
  template <class T>
  __device__ float operator()(T sum, std::int64_t) const {
    return static_cast<float>(sum);
  }
};

template <class T, class F = RoundToFloat>
void finish_columns(const char* name, std::int64_t slices, std::int64_t C, const T* partial,
                    float* out, F finish = {}) {
  launch(name, finish_columns_kernel<T, F>, static_cast<unsigned>(ceil_div(C, 32)), 1024, 0, slices,
         C, partial, out, finish);
}

template <class T, class F = RoundToFloat>
void finish_sum(const char* name, std::int64_t count, const T* partial, float* out, F finish = {}) {
  launch(name, finish_sum_kernel<T, F>, 1, 256, 0, count, partial, out, finish);
}

}  // namespace sentei::cuda
