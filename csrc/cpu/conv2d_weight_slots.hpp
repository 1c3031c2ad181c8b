// The last step of the weight gradients that keep k in the lanes: dw = sum of the slots, in order.
#pragma once
#include "core/parallel.hpp"
#include "cpu/gemm_types.hpp"
#include "cpu/simd.hpp"
#include "ops/conv2d_geometry.hpp"

namespace sentei::cpu::SENTEI_ISA {
namespace {

// A slot holds [G][R S C / G][padded(K / G)], `size` floats; it is transposed on the way.
SENTEI_NOINLINE void add_slots(const Conv2dGeometry& g, const float* first, std::int64_t slots,
                               std::int64_t size, float* dw) {
  const std::int64_t Kg = g.group_filters(), rows = g.R * g.S * g.group_channels();
  const std::int64_t ldo = padded(Kg), parts = ceil_div(rows, 64);
  parallel_for(g.G * parts, [&](std::int64_t task) {
    const std::int64_t group = task / parts;
    const std::int64_t begin = task % parts * 64, end = imin(rows, begin + 64);
    const float* in = first + group * rows * ldo;
    float* out = dw + group * Kg * rows;
    for (std::int64_t j = begin; j < end; j += kLanes)
      for (std::int64_t k = 0; k < Kg; k += kLanes) {
        const int n = static_cast<int>(imin(kLanes, end - j));
        vf t[kLanes];
#pragma GCC unroll 16
        for (int i = 0; i < kLanes; ++i) t[i] = vf{};
        for (std::int64_t s = 0; s < slots; ++s) {
          const float* src = in + s * size + j * ldo + k;
#pragma GCC unroll 16
          for (int i = 0; i < kLanes; ++i)
            if (i < n) t[i] += load(src + i * ldo);
        }
        transpose(t);
#pragma GCC unroll 16
        for (int i = 0; i < kLanes; ++i)
          if (k + i < Kg) store_n(out + (k + i) * rows + j, t[i], n);
      }
  });
}

}  // namespace
}  // namespace sentei::cpu::SENTEI_ISA
