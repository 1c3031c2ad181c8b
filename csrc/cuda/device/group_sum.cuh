// Sums over groups of threads in one fixed tree, so that a result never depends on scheduling.
#pragma once
#include "cuda/launch.cuh"

namespace sentei::cuda {

// Over aligned groups of kLanes <= 32 lanes; every lane of a full warp must call it and gets it.
template <int kLanes, class T>
__device__ __forceinline__ T lanes_sum(T v) {
#pragma unroll
  for (int m = kLanes / 2; m > 0; m /= 2) v += __shfl_xor_sync(~0u, v, m);
  return v;
}

// Over the block, warps in order; every thread gets it. slots: shared, one per warp.
template <int kThreads, class T>
__device__ __forceinline__ T block_sum(T v, T* slots) {
  constexpr int kWarps = kThreads / 32;
  v = lanes_sum<32>(v);
  if (threadIdx.x % 32 == 0) slots[threadIdx.x / 32] = v;
  __syncthreads();
  T total = 0;
#pragma unroll 8
  for (int i = 0; i < kWarps; ++i) total += slots[i];
  __syncthreads();  // slots are free again
  return total;
}

// kLanes threads: lanes of a warp, or the whole block.
template <int kLanes, int kThreads, class T>
__device__ __forceinline__ T group_sum(T v, T* slots) {
  if constexpr (kLanes <= 32)
    return lanes_sum<kLanes>(v);
  else
    return block_sum<kThreads>(v, slots);
}

}  // namespace sentei::cuda
