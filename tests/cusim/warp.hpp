// Collectives of a warp: lanes leave pointers to their operands, the last one to arrive computes
// for all of them.
#pragma once
#include <bit>
#include <cstring>
#include <type_traits>

#include "block.hpp"

namespace cusim {

// Every lane of mask must come to the same place. Null for all but the last one, after the last
// one's release; the last one gets the group.
Group* arrive(unsigned mask, const void* in, void* out, const Place& here);
void release(Group& g);
void check_full_warp(const char* what);  // fails in a warp with fewer threads

template <class Compute>
inline void meet(unsigned mask, const void* in, void* out, const Place& here, Compute compute) {
  if (Group* const g = arrive(mask, in, out, here)) {
    compute(*g);
    release(*g);
  }
}

template <class F>
inline void for_lanes(unsigned mask, F f) {
  for (; mask; mask &= mask - 1) f(std::countr_zero(mask));
}

inline void sync_warp(unsigned mask, const Place& here) {
  meet(mask, nullptr, nullptr, here, [](Group&) {});
}

// Lane l receives the value of lane source(l, first lane of its segment, argument of l). A lane
// outside the mask has none: the result is poison.
template <class T, class Source>
inline T shuffle(unsigned mask, T value, int argument, int width, const Place& here,
                 Source source) {
  static_assert(std::is_arithmetic_v<T>, "a shuffle exchanges numbers");
  if (width < 1 || width > kWarp || (width & (width - 1)) != 0)
    fail("shuffle: width must be a power of 2 up to 32, got ", width);
  struct Operand {
    T value;
    int argument;
  };
  const Operand own{value, argument};
  T result;
  meet(mask, &own, &result, here, [&](Group& g) {
    const auto operand = [&](int lane) { return *static_cast<const Operand*>(g.in[lane]); };
    for_lanes(g.mask, [&](int lane) {
      const int from = source(lane, lane & ~(width - 1), operand(lane).argument);
      if (g.mask >> from & 1)
        *static_cast<T*>(g.out[lane]) = operand(from).value;
      else
        std::memset(g.out[lane], kPoison, sizeof(T));
    });
  });
  return result;
}

inline unsigned vote(unsigned mask, bool predicate, const Place& here) {
  unsigned result;
  meet(mask, &predicate, &result, here, [](Group& g) {
    unsigned all = 0;
    for_lanes(g.mask, [&](int l) { all |= unsigned{*static_cast<const bool*>(g.in[l])} << l; });
    for_lanes(g.mask, [&](int l) { *static_cast<unsigned*>(g.out[l]) = all; });
  });
  return result;
}

}  // namespace cusim
