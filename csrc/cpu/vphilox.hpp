// Philox 4x32-10 (core/rng.hpp) for several counters at once. A vector of 64-bit lanes holds one
// word of kQuads counters, in the low half of each lane; what is left in the high halves is never
// read, since the 32 x 32 bit product takes low halves only.
#pragma once
#include "cpu/simd.hpp"
#if defined(__SSE4_1__)
#include <immintrin.h>
#endif

namespace sentei::cpu::SENTEI_ISA {

constexpr int kQuads = kLanes / 2;
typedef std::uint64_t vq __attribute__((vector_size(kLanes * 4)));

#if defined(__AVX512F__)
SENTEI_INLINE vq product(vq a, vq b) {
  return (vq)_mm512_maskz_mul_epu32(0xFF, (__m512i)a, (__m512i)b);
}
SENTEI_INLINE vq evens(vq a, vq b) {
  return (vq)_mm512_maskz_unpacklo_epi64(0xFF, (__m512i)a, (__m512i)b);
}
SENTEI_INLINE vq odds(vq a, vq b) {
  return (vq)_mm512_maskz_unpackhi_epi64(0xFF, (__m512i)a, (__m512i)b);
}
#elif defined(__AVX2__)
SENTEI_INLINE vq product(vq a, vq b) { return (vq)_mm256_mul_epu32((__m256i)a, (__m256i)b); }
SENTEI_INLINE vq evens(vq a, vq b) { return (vq)_mm256_unpacklo_epi64((__m256i)a, (__m256i)b); }
SENTEI_INLINE vq odds(vq a, vq b) { return (vq)_mm256_unpackhi_epi64((__m256i)a, (__m256i)b); }
#elif defined(__SSE4_1__)
SENTEI_INLINE vq product(vq a, vq b) { return (vq)_mm_mul_epu32((__m128i)a, (__m128i)b); }
SENTEI_INLINE vq evens(vq a, vq b) { return (vq)_mm_unpacklo_epi64((__m128i)a, (__m128i)b); }
SENTEI_INLINE vq odds(vq a, vq b) { return (vq)_mm_unpackhi_epi64((__m128i)a, (__m128i)b); }
#else
SENTEI_INLINE vq product(vq a, vq b) { return (a & 0xFFFFFFFFu) * (b & 0xFFFFFFFFu); }
SENTEI_INLINE vq evens(vq a, vq b) { return vq{a[0], b[0]}; }
SENTEI_INLINE vq odds(vq a, vq b) { return vq{a[1], b[1]}; }
#endif

// The high halves, brought down: a shuffle, which leaves the port of the products alone.
SENTEI_INLINE vq upper(vq a) {
  const vi v = (vi)a;
#if defined(__AVX512F__)
  return (vq)__builtin_shufflevector(v, v, 1, 1, 3, 3, 5, 5, 7, 7, 9, 9, 11, 11, 13, 13, 15, 15);
#elif defined(__AVX2__)
  return (vq)__builtin_shufflevector(v, v, 1, 1, 3, 3, 5, 5, 7, 7);
#else
  return (vq)__builtin_shufflevector(v, v, 1, 1, 3, 3);
#endif
}

struct PhiloxKeys {
  std::uint64_t first[10], second[10];
  std::uint64_t stream, step;
};
SENTEI_INLINE PhiloxKeys philox_keys(std::uint64_t seed, std::uint32_t stream, std::uint32_t step) {
  PhiloxKeys k{};
  std::uint32_t a = static_cast<std::uint32_t>(seed), b = static_cast<std::uint32_t>(seed >> 32);
  for (int i = 0; i < 10; ++i, a += 0x9E3779B9u, b += 0xBB67AE85u) {
    k.first[i] = a;
    k.second[i] = b;
  }
  k.stream = stream;
  k.step = step;
  return k;
}

// Two vectors of random words: elements 4 quad to 4 (quad + kQuads), in order.
struct PhiloxWords {
  vi low, high;
};
SENTEI_INLINE PhiloxWords philox_words(const PhiloxKeys& k, std::int64_t quad) {
  // The order of the counters in which interleaving pairs of lanes puts the elements in order:
  // 0, kQuads / 2, 1, kQuads / 2 + 1, ...
  vq order;
  for (int i = 0; i < kQuads; ++i)
    order[i] = static_cast<std::uint64_t>(i / 2 + (i % 2) * (kQuads / 2));
  vq c0 = order + static_cast<std::uint64_t>(quad);
  vq c1 = c0 >> 32, c2 = vq{} + k.stream, c3 = vq{} + k.step;
  const vq m0 = vq{} + 0xD2511F53u, m1 = vq{} + 0xCD9E8D57u;
#pragma GCC unroll 10
  for (int round = 0; round < 10; ++round) {
    const vq p0 = product(m0, c0), p1 = product(m1, c2);
    c0 = upper(p1) ^ c1 ^ (vq{} + k.first[round]);
    c2 = upper(p0) ^ c3 ^ (vq{} + k.second[round]);
    c1 = p1;
    c3 = p0;
  }
  const vq low = vq{} + 0xFFFFFFFFu;
  const vq first = (c0 & low) | (c1 << 32), second = (c2 & low) | (c3 << 32);
  return {(vi)evens(first, second), (vi)odds(first, second)};
}

}  // namespace sentei::cpu::SENTEI_ISA
