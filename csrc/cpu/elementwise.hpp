// y[i] = f(x[i]) and z[i] = f(x[i], y[i]) over a whole array, vector by vector. Tasks of 16 Ki
// elements. Outputs may be the inputs themselves.
#pragma once
#include "core/parallel.hpp"
#include "cpu/simd.hpp"

namespace sentei::cpu::SENTEI_ISA {

constexpr std::int64_t kElementBlock = 16384;

template <class F>
SENTEI_INLINE void map_elements(std::int64_t n, const float* x, float* y, const F& f) {
  parallel_for(ceil_div(n, kElementBlock), [=](std::int64_t task) {
    const std::int64_t end = imin(n, (task + 1) * kElementBlock);
    std::int64_t i = task * kElementBlock;
    for (; i + kLanes <= end; i += kLanes) store(y + i, f(load(x + i)));
    if (i < end) {
      const int m = static_cast<int>(end - i);
      store_n(y + i, f(load_n(x + i, m)), m);
    }
  });
}

template <class F>
SENTEI_INLINE void map_pairs(std::int64_t n, const float* x, const float* y, float* z, const F& f) {
  parallel_for(ceil_div(n, kElementBlock), [=](std::int64_t task) {
    const std::int64_t end = imin(n, (task + 1) * kElementBlock);
    std::int64_t i = task * kElementBlock;
    for (; i + kLanes <= end; i += kLanes) store(z + i, f(load(x + i), load(y + i)));
    if (i < end) {
      const int m = static_cast<int>(end - i);
      store_n(z + i, f(load_n(x + i, m), load_n(y + i, m)), m);
    }
  });
}

}  // namespace sentei::cpu::SENTEI_ISA
