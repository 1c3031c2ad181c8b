// The AMX unit: a block of 32 x 32 sums is four tiles. The system's permission to use tiles is
// asked for by bf16.cpp; a thread has tiles configured between enter and leave only, so that its
// context stays small elsewhere.
#include "cpu/bf16_driver.hpp"

namespace sentei::cpu::SENTEI_ISA {
namespace {

struct alignas(64) TileConfig {
  std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
  std::uint16_t bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

struct Amx {
  static void enter() {
    const TileConfig config;
    _tile_loadconfig(&config);
  }
  static void leave() { _tile_release(); }

  SENTEI_INLINE void zero(float*) {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
  }

  template <bool A2, bool B2>
  SENTEI_INLINE void add(float*, const bf16* a0, const bf16* a1, int64_t a_step, const bf16* b0,
                         const bf16* b1, int64_t b_step, int64_t n) {
    for (int64_t i = 0; i < n; ++i) {
      _tile_loadd(4, a0, 64);
      _tile_loadd(6, b0, 64);
      _tile_dpbf16ps(0, 4, 6);
      if (B2) {
        _tile_loadd(7, b1, 64);
        _tile_dpbf16ps(1, 4, 7);
      }
      if (A2) {
        _tile_loadd(5, a1, 64);
        _tile_dpbf16ps(2, 5, 6);
        if (B2) _tile_dpbf16ps(3, 5, 7);
      }
      a0 += a_step, a1 += a_step, b0 += b_step, b1 += b_step;
    }
  }

  SENTEI_INLINE void finish(float* sums) {
    constexpr int64_t row = kBf16Block * 4;
    _tile_stored(0, sums, row);
    _tile_stored(1, sums + kBf16Half, row);
    _tile_stored(2, sums + kBf16Half * kBf16Block, row);
    _tile_stored(3, sums + kBf16Half * kBf16Block + kBf16Half, row);
  }
};

// (i + 1) (j + 2) for row i and column j, one term of 32 each: exact.
bool works() {
  alignas(64) bf16 a[kBf16Tile] = {}, b[kBf16Tile] = {};
  alignas(64) float sums[kBf16Block * kBf16Block];
  for (int i = 0; i < 16; ++i) {
    const __m512i v = rounded(_mm512_set1_ps(static_cast<float>(i + 1)),
                              _mm512_set1_ps(static_cast<float>(i + 2)));
    alignas(64) bf16 numbers[kBf16Block];
    store_row(numbers, v);
    a[i * kBf16Block] = numbers[0];
    b[2 * i] = numbers[16];
  }
  Amx::enter();
  Amx::zero(sums);
  Amx::add<false, false>(sums, a, a, 0, b, b, 0, 1);
  Amx::finish(sums);
  Amx::leave();
  for (int i = 0; i < 16; ++i)
    for (int j = 0; j < 16; ++j)
      if (sums[i * kBf16Block + j] != static_cast<float>((i + 1) * (j + 2))) return false;
  return true;
}

}  // namespace

extern const Bf16Kernels bf16_kernels;
const Bf16Kernels bf16_kernels = {pack_all, run_sum<Amx>, run_weight<Amx>, works};

}  // namespace sentei::cpu::SENTEI_ISA
