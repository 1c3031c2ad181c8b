// One or four neighbouring elements: what a thread reads and writes at a time. Four are aligned to
// their size.
#pragma once
#include "cuda/launch.cuh"

namespace sentei::cuda {

template <int V>
struct Vec {
  static_assert(V == 1 || V == 4);
  float v[V];
};

template <int V>
struct Bytes {
  static_assert(V == 1 || V == 4);
  std::uint8_t v[V];
};

template <int V>
__device__ __forceinline__ Vec<V> load(const float* p) {
  if constexpr (V == 4) {
    const float4 q = *reinterpret_cast<const float4*>(p);
    return {{q.x, q.y, q.z, q.w}};
  } else {
    return {{*p}};
  }
}

template <int V>
__device__ __forceinline__ void store(float* p, const Vec<V>& x) {
  if constexpr (V == 4)
    *reinterpret_cast<float4*>(p) = make_float4(x.v[0], x.v[1], x.v[2], x.v[3]);
  else
    *p = x.v[0];
}

// The first `live` elements; the others are 0 and stay unwritten. With live == V a whole vector.
template <int V>
__device__ __forceinline__ Vec<V> load(const float* p, int live) {
  if (live == V) return load<V>(p);
  Vec<V> x{};
#pragma unroll
  for (int e = 0; e < V; ++e)
    if (e < live) x.v[e] = p[e];
  return x;
}

template <int V>
__device__ __forceinline__ void store(float* p, const Vec<V>& x, int live) {
  if (live == V) return store<V>(p, x);
#pragma unroll
  for (int e = 0; e < V; ++e)
    if (e < live) p[e] = x.v[e];
}

template <int V>
__device__ __forceinline__ Bytes<V> load_bytes(const std::uint8_t* p) {
  if constexpr (V == 4) {
    const uchar4 q = *reinterpret_cast<const uchar4*>(p);
    return {{q.x, q.y, q.z, q.w}};
  } else {
    return {{*p}};
  }
}

template <int V>
__device__ __forceinline__ void store_bytes(std::uint8_t* p, const Bytes<V>& x) {
  if constexpr (V == 4)
    *reinterpret_cast<uchar4*>(p) = make_uchar4(x.v[0], x.v[1], x.v[2], x.v[3]);
  else
    *p = x.v[0];
}

inline bool aligned_to(std::uintptr_t bytes, const void* p) {
  return reinterpret_cast<std::uintptr_t>(p) % bytes == 0;
}

// aligned_to_vectors(a, b, ...): whether a thread may take four floats of each at a time.
template <class... P>
bool aligned_to_vectors(const P*... p) {
  return (... && aligned_to(16, p));
}

}  // namespace sentei::cuda
