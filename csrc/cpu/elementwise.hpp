// y[i] = f(x[i]) and z[i] = f(x[i], y[i]) over a whole array, vector by vector. Tasks of 16 Ki
// elements. Outputs may be the inputs themselves.
#pragma once
#include "core/parallel.hpp"
#include "cpu/simd.hpp"

namespace sentei::cpu::SENTEI_ISA {

constexpr std::int64_t kElementBlock = 16384;
constexpr std::int64_t kElementsPast = std::int64_t{1} << 22;
constexpr std::int64_t kElementsLarge = std::int64_t{1} << 20;  // from here on tasks are larger

// Blocks of z = f(i, lanes) by `whole`, a vector store, but for the last lanes of the array.
template <class Whole, class F>
SENTEI_INLINE void map_blocks(std::int64_t n, float* z, const Whole& whole, const F& f) {
  const std::int64_t block = n >= kElementsLarge ? 4 * kElementBlock : kElementBlock;
  parallel_for(ceil_div(n, block), [=](std::int64_t task) {
    const std::int64_t end = imin(n, (task + 1) * block);
    std::int64_t i = task * block;
#pragma GCC unroll 4
    for (; i + kLanes <= end; i += kLanes) whole(z + i, f(i, kLanes));
    if (i < end) {
      const int m = static_cast<int>(end - i);
      store_n(z + i, f(i, m), m);
    }
    stream_fence();
  });
}

// z = f(i, lanes). What is larger than the caches and not read by f is stored past them.
template <class F>
SENTEI_INLINE void map_to(std::int64_t n, float* z, bool own, const F& f) {
  if (own && n >= kElementsPast && reinterpret_cast<std::uintptr_t>(z) % sizeof(vf) == 0)
    map_blocks(n, z, [](float* p, vf v) { store_stream(p, v); }, f);
  else
    map_blocks(n, z, [](float* p, vf v) { store(p, v); }, f);
}

SENTEI_INLINE vf load_some(const float* p, int m) { return m == kLanes ? load(p) : load_n(p, m); }

template <class F>
SENTEI_INLINE void map_elements(std::int64_t n, const float* x, float* y, const F& f) {
  map_to(n, y, y != x, [=](std::int64_t i, int m) { return f(load_some(x + i, m)); });
}

template <class F>
SENTEI_INLINE void map_pairs(std::int64_t n, const float* x, const float* y, float* z, const F& f) {
  map_to(n, z, z != x && z != y,
         [=](std::int64_t i, int m) { return f(load_some(x + i, m), load_some(y + i, m)); });
}

}  // namespace sentei::cpu::SENTEI_ISA
