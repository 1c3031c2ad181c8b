// The winners of max pooling: a byte per element in memory, a lane in registers.
#pragma once
#include "cpu/channels.hpp"
#if defined(__SSE4_1__)
#include <immintrin.h>
#endif

namespace sentei::cpu::SENTEI_ISA {

// Indices between bytes and lanes, by hand: GCC 12 converts such vectors one element at a time.
#if defined(__AVX512BW__) && defined(__AVX512VL__)
SENTEI_INLINE vi load_index(const std::uint8_t* p, Full) {
  return (vi)_mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
SENTEI_INLINE vi load_index(const std::uint8_t* p, Part t) {
  return (vi)_mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(tail_mask(t.n), p));
}
SENTEI_INLINE void store_index(std::uint8_t* p, vi v, Full) {
  _mm512_mask_cvtepi32_storeu_epi8(p, 0xFFFF, (__m512i)v);
}
SENTEI_INLINE void store_index(std::uint8_t* p, vi v, Part t) {
  _mm512_mask_cvtepi32_storeu_epi8(p, tail_mask(t.n), (__m512i)v);
}
#else
#if defined(__AVX2__)
SENTEI_INLINE vi load_index(const std::uint8_t* p, Full) {
  return (vi)_mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
}
SENTEI_INLINE void store_index(std::uint8_t* p, vi v, Full) {
  const __m256i u = (__m256i)v;
  const __m128i words = _mm_packus_epi32(_mm256_castsi256_si128(u), _mm256_extracti128_si256(u, 1));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_packus_epi16(words, words));
}
#elif defined(__SSE4_1__)
SENTEI_INLINE vi load_index(const std::uint8_t* p, Full) {
  std::int32_t bytes;
  std::memcpy(&bytes, p, sizeof bytes);
  return (vi)_mm_cvtepu8_epi32(_mm_cvtsi32_si128(bytes));
}
SENTEI_INLINE void store_index(std::uint8_t* p, vi v, Full) {
  const __m128i words = _mm_packus_epi32((__m128i)v, (__m128i)v);
  const std::int32_t bytes = _mm_cvtsi128_si32(_mm_packus_epi16(words, words));
  std::memcpy(p, &bytes, sizeof bytes);
}
#else
SENTEI_INLINE vi load_index(const std::uint8_t* p, Full) {
  vi v{};
  for (int i = 0; i < kLanes; ++i) v[i] = p[i];
  return v;
}
SENTEI_INLINE void store_index(std::uint8_t* p, vi v, Full) {
  for (int i = 0; i < kLanes; ++i) p[i] = static_cast<std::uint8_t>(v[i]);
}
#endif
SENTEI_INLINE vi load_index(const std::uint8_t* p, Part t) {
  std::uint8_t bytes[kLanes] = {};
  for (int i = 0; i < t.n; ++i) bytes[i] = p[i];
  return load_index(bytes, Full{});
}
SENTEI_INLINE void store_index(std::uint8_t* p, vi v, Part t) {
  std::uint8_t bytes[kLanes];
  store_index(bytes, v, Full{});
  for (int i = 0; i < t.n; ++i) p[i] = bytes[i];
}
#endif

struct Best {
  vf value;
  vi index;
};

SENTEI_INLINE void challenge(Best& best, vf v, int tap) {
  // Not "v > best": a NaN challenger must win, and a NaN champion must stay.
  const vi wins = ~(v <= best.value) & (best.value == best.value);
  best.value = wins ? v : best.value;
  best.index = wins ? vi{} + tap : best.index;
}

// The winner of a 2 x 2 window with taps 0 1 over 2 3.
SENTEI_INLINE Best best_of_four(vf v0, vf v1, vf v2, vf v3) {
  Best top{v0, vi{}}, low{v2, vi{} + 2};
  challenge(top, v1, 1);
  challenge(low, v3, 3);
  const vi wins = ~(low.value <= top.value) & (top.value == top.value);
  return {wins ? low.value : top.value, wins ? low.index : top.index};
}

}  // namespace sentei::cpu::SENTEI_ISA
