// What the micro-kernels of gemm.hpp read: plain structs, the same for every instruction set.
#pragma once
#include <cstdint>

namespace sentei::cpu {

// Columns of output that one task computes, for every instruction set: the split into tasks, and
// with it the order of sums, must not depend on the vector length.
constexpr std::int64_t kPanel = 64;
// Widest vector of any tier in floats: packed panels are padded to it, so sizes do not depend on
// the tier.
constexpr std::int64_t kPad = 16;

constexpr std::int64_t padded(std::int64_t n) { return (n + kPad - 1) / kPad * kPad; }

// One contiguous stretch of a dot product: n floats from `x` (relative to a pixel) times n packed
// rows from `w`.
struct Tap {
  std::int64_t x, w, n;
};

// One term of a sum of outer products: where the broadcast row and the vector row begin, in floats.
struct Offset {
  std::int32_t a, b;
};

}  // namespace sentei::cpu
