#include "tensor_core.hpp"

#include <bit>
#include <cstring>

#include "shared_memory.hpp"
#include "warp.hpp"

namespace cusim {
namespace {

struct Operands {
  const std::uint32_t *a, *b;
  const float* c;
};

// Lane l = 4 g + t holds the rows g and g + 8 of a, column g of b, columns 2 t and 2 t + 1 of c and
// d. `load` puts the registers of one lane into the matrices.
template <int K, class Load>
void multiply(Group& group, Load load) {
  double a[16][K], b[K][8];
  for (int l = 0; l < kWarp; ++l) {
    const auto& o = *static_cast<const Operands*>(group.in[l]);
    load(a, b, o.a, o.b, l / 4, l % 4);
  }
  double sum[16][8] = {};
  for (int i = 0; i < 16; ++i)
    for (int k = 0; k < K; ++k)
      for (int j = 0; j < 8; ++j) sum[i][j] += a[i][k] * b[k][j];
  for (int l = 0; l < kWarp; ++l) {
    const float* const c = static_cast<const Operands*>(group.in[l])->c;
    auto* const d = static_cast<float*>(group.out[l]);
    for (int i = 0; i < 4; ++i)
      d[i] = static_cast<float>(sum[l / 4 + 8 * (i / 2)][l % 4 * 2 + i % 2] + c[i]);
  }
}

double number(std::uint32_t bits) { return std::bit_cast<float>(bits); }

}  // namespace

void mma_tf32(float* d, const std::uint32_t* a, const std::uint32_t* b, const float* c,
              const Place& here) {
  check_full_warp("mma");
  for (int i = 0; i < 6; ++i)
    if ((i < 4 ? a[i] : b[i - 4]) & 0x1fffu)
      fail("mma at ", text_of(here), ": operand is not rounded to tf32");
  const Operands own{a, b, c};
  meet(~0u, &own, d, here, [](Group& group) {
    multiply<8>(group, [](auto& a, auto& b, const std::uint32_t* ra, const std::uint32_t* rb, int g,
                          int t) {
      for (int i = 0; i < 4; ++i) a[g + 8 * (i % 2)][t + 4 * (i / 2)] = number(ra[i]);
      for (int i = 0; i < 2; ++i) b[t + 4 * i][g] = number(rb[i]);
    });
  });
}

void mma_bf16(float* d, const std::uint32_t* a, const std::uint32_t* b, const float* c,
              const Place& here) {
  check_full_warp("mma");
  const Operands own{a, b, c};
  meet(~0u, &own, d, here, [](Group& group) {
    multiply<16>(group, [](auto& a, auto& b, const std::uint32_t* ra, const std::uint32_t* rb,
                           int g, int t) {
      for (int i = 0; i < 4; ++i) {
        double* const pair = &a[g + 8 * (i % 2)][2 * t + 8 * (i / 2)];
        pair[0] = number(ra[i] << 16);
        pair[1] = number(ra[i] & 0xffff0000u);
      }
      for (int i = 0; i < 2; ++i) {
        b[2 * t + 8 * i][g] = number(rb[i] << 16);
        b[2 * t + 8 * i + 1][g] = number(rb[i] & 0xffff0000u);
      }
    });
  });
}

void ldmatrix(std::uint32_t* r, const void* row, int count, bool transposed, const Place& here) {
  check_full_warp("ldmatrix");
  const bool used =
      current->linear % kWarp < 8 * count;  // other lanes' addresses are not looked at
  if (used && reinterpret_cast<std::uintptr_t>(row) % 16 != 0)
    fail("ldmatrix at ", text_of(here), ": misaligned row");
  if (used && !in_shared(row)) fail("ldmatrix at ", text_of(here), ": row is not in shared memory");
  char own[16];
  if (used) std::memcpy(own, row, sizeof own);  // each lane reads its row when it arrives
  meet(~0u, own, r, here, [=](Group& g) {
    for (int m = 0; m < count; ++m) {
      std::uint16_t t[8][8];
      for (int i = 0; i < 8; ++i) std::memcpy(t[i], g.in[m * 8 + i], sizeof t[i]);
      for (int l = 0; l < kWarp; ++l) {
        const int i = l / 4, j = l % 4 * 2;
        const std::uint32_t low = transposed ? t[j][i] : t[i][j];
        const std::uint32_t high = transposed ? t[j + 1][i] : t[i][j + 1];
        static_cast<std::uint32_t*>(g.out[l])[m] = low | high << 16;
      }
    }
  });
}

}  // namespace cusim
