// The AVX512_BF16 unit: the same tiles, eight rows by two vectors of sums in registers at a time.
#include "cpu/bf16_driver.hpp"

namespace sentei::cpu::SENTEI_ISA {
namespace {

struct Avx512 {
  static void enter() {}
  static void leave() {}
  SENTEI_INLINE void zero(float* sums) {
    for (int64_t i = 0; i < kBf16Block * kBf16Block; i += kLanes)
      _mm512_store_ps(sums + i, _mm512_setzero_ps());
  }
  SENTEI_INLINE void finish(float*) {}

  // 8 rows of a, `columns` vectors.
  template <int V>
  SENTEI_NOINLINE void add_rows(float* sums, const bf16* a, int64_t a_step, const bf16* b,
                                const bf16* b1, int64_t b_step, int64_t n) {
    constexpr int P = 8;
    __m512 acc[P][V];
#pragma GCC unroll 8
    for (int p = 0; p < P; ++p)
#pragma GCC unroll 2
      for (int v = 0; v < V; ++v) acc[p][v] = _mm512_load_ps(sums + p * kBf16Block + v * kLanes);
    for (int64_t i = 0; i < n; ++i) {
      for (int j = 0; j < kBf16Half; ++j) {
        __m512bh w[V];
        w[0] = (__m512bh)_mm512_load_si512(b + j * kBf16Block);
        if constexpr (V == 2) w[1] = (__m512bh)_mm512_load_si512(b1 + j * kBf16Block);
#pragma GCC unroll 8
        for (int p = 0; p < P; ++p) {
          std::int32_t pair;
          std::memcpy(&pair, a + p * kBf16Block + 2 * j, 4);
          const auto x = (__m512bh)_mm512_set1_epi32(pair);
#pragma GCC unroll 2
          for (int v = 0; v < V; ++v) acc[p][v] = _mm512_dpbf16_ps(acc[p][v], x, w[v]);
        }
      }
      a += a_step, b += b_step, b1 += b_step;
    }
#pragma GCC unroll 8
    for (int p = 0; p < P; ++p)
#pragma GCC unroll 2
      for (int v = 0; v < V; ++v) _mm512_store_ps(sums + p * kBf16Block + v * kLanes, acc[p][v]);
  }

  template <bool A2, bool B2>
  SENTEI_INLINE void add(float* sums, const bf16* a0, const bf16* a1, int64_t a_step,
                         const bf16* b0, const bf16* b1, int64_t b_step, int64_t n) {
    for (int p = 0; p < (A2 ? 32 : 16); p += 8)
      add_rows<B2 ? 2 : 1>(sums + p * kBf16Block,
                           (p < 16 ? a0 : a1 - kBf16Half * kBf16Block) + p * kBf16Block, a_step, b0,
                           b1, b_step, n);
  }
};

bool works() { return true; }

}  // namespace

extern const Bf16Kernels bf16_kernels;
const Bf16Kernels bf16_kernels = {pack_all, run_sum<Avx512>, run_weight<Avx512>, works};

}  // namespace sentei::cpu::SENTEI_ISA
