// The words of CUDA C++ that kernels use. A caller's place travels as a default argument, so that
// warps that diverge are told apart.
#pragma once
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

#include "block.hpp"
#include "warp.hpp"

#define threadIdx (::cusim::current->index)
#define blockIdx (::cusim::block.index)
#define blockDim (::cusim::block.dims)
#define gridDim (::cusim::block.grid)

using std::max;
using std::min;

inline void __syncthreads(cusim::Place here = cusim::Place::current()) { cusim::sync_block(here); }
inline void __syncwarp(unsigned mask = ~0u, cusim::Place here = cusim::Place::current()) {
  cusim::sync_warp(mask, here);
}

template <class T>
inline T __shfl_sync(unsigned mask, T value, int lane, int width = 32,
                     cusim::Place here = cusim::Place::current()) {
  return cusim::shuffle(mask, value, lane, width, here,
                        [=](int, int base, int from) { return base + (from & (width - 1)); });
}
template <class T>
inline T __shfl_up_sync(unsigned mask, T value, unsigned by, int width = 32,
                        cusim::Place here = cusim::Place::current()) {
  return cusim::shuffle(mask, value, static_cast<int>(by), width, here,
                        [=](int l, int base, int n) { return l - n < base ? l : l - n; });
}
template <class T>
inline T __shfl_down_sync(unsigned mask, T value, unsigned by, int width = 32,
                          cusim::Place here = cusim::Place::current()) {
  return cusim::shuffle(mask, value, static_cast<int>(by), width, here,
                        [=](int l, int base, int n) { return l + n < base + width ? l + n : l; });
}
template <class T>
inline T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32,
                         cusim::Place here = cusim::Place::current()) {
  return cusim::shuffle(mask, value, bits, width, here,
                        [=](int l, int base, int b) { return (l ^ b) < base + width ? l ^ b : l; });
}
inline unsigned __ballot_sync(unsigned mask, bool p, cusim::Place here = cusim::Place::current()) {
  return cusim::vote(mask, p, here);
}
inline bool __any_sync(unsigned mask, bool p, cusim::Place here = cusim::Place::current()) {
  return cusim::vote(mask, p, here) != 0;
}
inline bool __all_sync(unsigned mask, bool p, cusim::Place here = cusim::Place::current()) {
  return cusim::vote(mask, !p, here) == 0;
}

template <class T>
inline T __ldg(const T* p) {
  return *p;
}
template <class T>
inline T __ldcs(const T* p) {
  return *p;
}
template <class T>
inline void __stcs(T* p, T v) {
  *p = v;
}
inline void __threadfence() {}  // one view of memory for all
inline void __threadfence_block() {}

// Whole numbers only: a sum of floats would depend on the order of threads.
template <class T, class F>
inline T cusim_update(T* p, F f) {
  static_assert(std::is_integral_v<T>, "an atomic operation on floats is not deterministic");
  const T old = *p;
  *p = f(old);
  return old;
}
template <class T>
inline T atomicAdd(T* p, std::type_identity_t<T> v) {
  return cusim_update(p, [=](T old) { return static_cast<T>(old + v); });
}
template <class T>
inline T atomicMax(T* p, std::type_identity_t<T> v) {
  return cusim_update(p, [=](T old) { return max(old, v); });
}
template <class T>
inline T atomicMin(T* p, std::type_identity_t<T> v) {
  return cusim_update(p, [=](T old) { return min(old, v); });
}
template <class T>
inline T atomicExch(T* p, std::type_identity_t<T> v) {
  return cusim_update(p, [=](T) { return v; });
}
template <class T>
inline T atomicCAS(T* p, std::type_identity_t<T> expected, std::type_identity_t<T> v) {
  return cusim_update(p, [=](T old) { return old == expected ? v : old; });
}

inline int __popc(unsigned v) { return std::popcount(v); }
inline int __clz(int v) { return std::countl_zero(static_cast<unsigned>(v)); }
inline int __ffs(int v) { return __builtin_ffs(v); }
inline unsigned __umulhi(unsigned a, unsigned b) {
  return static_cast<unsigned>(std::uint64_t{a} * b >> 32);
}
inline float __uint_as_float(unsigned u) { return std::bit_cast<float>(u); }
inline unsigned __float_as_uint(float f) { return std::bit_cast<unsigned>(f); }
inline float __int_as_float(int i) { return std::bit_cast<float>(i); }
inline int __float_as_int(float f) { return std::bit_cast<int>(f); }
inline float rsqrtf(float x) { return 1.0f / std::sqrt(x); }
inline float __expf(float x) { return std::exp(x); }
inline float __logf(float x) { return std::log(x); }
inline float __fdividef(float a, float b) { return a / b; }
