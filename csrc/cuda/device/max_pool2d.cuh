// The winner of a window, and the forward kernel of 2x2 windows with stride 2 over whatever source
// of x: a tensor, or one that a batch norm maps on the way.
#pragma once
#include "cuda/device/pool2d.cuh"

namespace sentei::cuda {

template <int V>
struct Best {
  Vec<V> value;
  Bytes<V> index;

  __device__ __forceinline__ void challenge(const Vec<V>& v, int tap) {
#pragma unroll
    for (int e = 0; e < V; ++e)
      // Not "v > best": a NaN challenger must win, and a NaN champion must stay.
      if (!(v.v[e] <= value.v[e]) && value.v[e] == value.v[e]) {
        value.v[e] = v.v[e];
        index.v[e] = static_cast<std::uint8_t>(tap);
      }
  }
};

constexpr float kLowest = -__builtin_huge_valf();  // wins against nothing

template <int V>
__device__ __forceinline__ Vec<V> all(float x) {
  Vec<V> v;
#pragma unroll
  for (int e = 0; e < V; ++e) v.v[e] = x;
  return v;
}

// Sources of x: Column column(c) once per thread, then Vec<V> load(column, i).
template <int V>
struct PlainSource {
  struct Column {};
  const float* x;
  __device__ Column column(std::int64_t) const { return {}; }
  __device__ Vec<V> load(Column, std::int64_t i) const { return cuda::load<V>(x + i); }
};

template <int V, class Source>
__global__ void __launch_bounds__(kPoolThreads)
    max_pool2d_forward_2x2_kernel(std::uint32_t n, Pool g, Pixels out, Source source, float* y,
                                  std::uint8_t* index) {
  const std::uint32_t i = blockIdx.x * kPoolThreads + threadIdx.x;
  if (i >= n) return;
  const Pixel o = out.at(i);
  const int h = 2 * o.h, w = 2 * o.w;
  const bool right = w + 1 < g.W, below = h + 1 < g.H;  // false in ceil mode only
  const std::int64_t corner = g.in(o.n, h, w) + o.c, row = g.W * g.C;
  const auto column = source.column(o.c);
  const Vec<V> none = all<V>(kLowest);
  Best<V> best{source.load(column, corner), {}};
  const Vec<V> b = right ? source.load(column, corner + g.C) : none;
  const Vec<V> c = below ? source.load(column, corner + row) : none;
  const Vec<V> d = right && below ? source.load(column, corner + row + g.C) : none;
  best.challenge(b, 1);
  best.challenge(c, 2);
  best.challenge(d, 3);
  store<V>(y + std::int64_t{i} * V, best.value);
  store_bytes<V>(index + std::int64_t{i} * V, best.index);
}

}  // namespace sentei::cuda
