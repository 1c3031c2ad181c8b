// One vector type for every instruction set, from compiler vector extensions; masked tails by hand.
// For kernels only: a source that includes this is compiled once per tier (SENTEI_ISA = plain, v2,
// v3, v4), so everything here has internal linkage and nothing may come from std containers or
// algorithms.
#pragma once
#include <cstdint>
#include <cstring>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

#ifndef SENTEI_ISA
#error "SENTEI_ISA must name the tier that this source is compiled for"
#endif

#define SENTEI_INLINE [[maybe_unused]] static inline __attribute__((always_inline))
#define SENTEI_NOINLINE [[maybe_unused]] static __attribute__((noinline))

namespace sentei::cpu::SENTEI_ISA {

#if defined(__AVX512F__)
constexpr int kLanes = 16;
#elif defined(__AVX2__)
constexpr int kLanes = 8;
#else
constexpr int kLanes = 4;
#endif
#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int kRegisters = 32;
#else
constexpr int kRegisters = 16;
#endif

typedef float vf __attribute__((vector_size(kLanes * 4)));
typedef std::int32_t vi __attribute__((vector_size(kLanes * 4)));
typedef float vf_u __attribute__((vector_size(kLanes * 4), aligned(4), may_alias));

SENTEI_INLINE vf load(const float* p) { return *reinterpret_cast<const vf_u*>(p); }
SENTEI_INLINE void store(float* p, vf v) { *reinterpret_cast<vf_u*>(p) = v; }
// Not vf{} + a: that is an addition (of -0, for one) and a shuffle instead of a load that
// broadcasts.
SENTEI_INLINE vf splat(float a) {
#if defined(__AVX512F__)
  return (vf)_mm512_set1_ps(a);
#elif defined(__AVX2__)
  return (vf)_mm256_set1_ps(a);
#else
  return vf{a, a, a, a};
#endif
}
// a * b + c; a fused multiply-add where the tier has one (-ffp-contract=fast on these sources).
SENTEI_INLINE vf fma(vf a, vf b, vf c) { return a * b + c; }

#if defined(__AVX512F__)
SENTEI_INLINE __mmask16 tail_mask(int n) { return static_cast<__mmask16>((1u << n) - 1u); }
SENTEI_INLINE vf load_n(const float* p, int n) {
  return (vf)_mm512_maskz_loadu_ps(tail_mask(n), p);
}
SENTEI_INLINE void store_n(float* p, vf v, int n) {
  _mm512_mask_storeu_ps(p, tail_mask(n), (__m512)v);
}
// The masked form with a full mask: the plain one reads an undefined register, and g++ 12 warns.
SENTEI_INLINE vf vmax(vf a, vf b) { return (vf)_mm512_maskz_max_ps(0xffff, (__m512)a, (__m512)b); }
SENTEI_INLINE vf vmin(vf a, vf b) { return (vf)_mm512_maskz_min_ps(0xffff, (__m512)a, (__m512)b); }
#elif defined(__AVX2__)
SENTEI_INLINE __m256i tail_mask(int n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
SENTEI_INLINE vf load_n(const float* p, int n) { return (vf)_mm256_maskload_ps(p, tail_mask(n)); }
SENTEI_INLINE void store_n(float* p, vf v, int n) {
  _mm256_maskstore_ps(p, tail_mask(n), (__m256)v);
}
SENTEI_INLINE vf vmax(vf a, vf b) { return (vf)_mm256_max_ps((__m256)a, (__m256)b); }
SENTEI_INLINE vf vmin(vf a, vf b) { return (vf)_mm256_min_ps((__m256)a, (__m256)b); }
#else
SENTEI_INLINE vf load_n(const float* p, int n) {
  if (n >= kLanes) return load(p);
  vf v{};
  for (int i = 0; i < n; ++i) v[i] = p[i];
  return v;
}
SENTEI_INLINE void store_n(float* p, vf v, int n) {
  if (n >= kLanes) return store(p, v);
  for (int i = 0; i < n; ++i) p[i] = v[i];
}
SENTEI_INLINE vf vmax(vf a, vf b) { return a > b ? a : b; }  // b where either is NaN, as maxps
SENTEI_INLINE vf vmin(vf a, vf b) { return a < b ? a : b; }
#endif

// Stores past the caches: a plain store first reads the line that it is about to overwrite, a third
// of the traffic of a copy. p is aligned to a vector; `stream_fence` before others may read.
SENTEI_INLINE void store_stream(float* p, vf v) {
#if defined(__AVX512F__)
  _mm512_stream_ps(p, (__m512)v);
#elif defined(__AVX2__)
  _mm256_stream_ps(p, (__m256)v);
#elif defined(__SSE2__)
  _mm_stream_ps(p, (__m128)v);
#else
  store(p, v);
#endif
}
// A hint that p will be read soon; p may lie outside of any memory.
SENTEI_INLINE void prefetch(const float* p, std::int64_t ahead) {
  __builtin_prefetch(reinterpret_cast<const void*>(reinterpret_cast<std::uintptr_t>(p) +
                                                   static_cast<std::uintptr_t>(ahead * 4)));
}
SENTEI_INLINE void stream_fence() {
#if defined(__SSE2__)
  _mm_sfence();
#endif
}

// Sum of the lanes, always in the same (pairwise) order.
SENTEI_INLINE float lane_sum(vf v) {
  float t[kLanes];
  store(t, v);
  for (int step = kLanes / 2; step > 0; step /= 2)
    for (int i = 0; i < step; ++i) t[i] += t[i + step];
  return t[0];
}

// a0 b0 a1 b1 ...: the first or the second half of the two vectors, interleaved.
SENTEI_INLINE vf interleave_low(vf a, vf b) {
#if defined(__AVX512F__)
  return __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
#elif defined(__AVX2__)
  return __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
#else
  return __builtin_shufflevector(a, b, 0, 4, 1, 5);
#endif
}
SENTEI_INLINE vf interleave_high(vf a, vf b) {
#if defined(__AVX512F__)
  return __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15,
                                 31);
#elif defined(__AVX2__)
  return __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
#else
  return __builtin_shufflevector(a, b, 2, 6, 3, 7);
#endif
}

// Transpose a kLanes x kLanes square held in registers: log2(kLanes) perfect shuffles of the rows.
SENTEI_INLINE void transpose(vf (&r)[kLanes]) {
  vf t[kLanes];
  constexpr int half = kLanes / 2;
#pragma GCC unroll 4
  for (int step = 1; step < kLanes; step *= 2) {
#pragma GCC unroll 8
    for (int i = 0; i < half; ++i) {
      t[2 * i] = interleave_low(r[i], r[i + half]);
      t[2 * i + 1] = interleave_high(r[i], r[i + half]);
    }
#pragma GCC unroll 16
    for (int i = 0; i < kLanes; ++i) r[i] = t[i];
  }
}

SENTEI_INLINE std::int64_t imin(std::int64_t a, std::int64_t b) { return a < b ? a : b; }
SENTEI_INLINE std::int64_t imax(std::int64_t a, std::int64_t b) { return a > b ? a : b; }
SENTEI_INLINE std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

}  // namespace sentei::cpu::SENTEI_ISA
