// Division of 32-bit numbers by one divisor: a product and a shift instead of some twenty
// instructions (Granlund and Montgomery 1994, figure 4.1). Exact for every n.
#pragma once
#include "cuda/device/portable.cuh"

namespace sentei::cuda {

struct FastDivide {
  std::uint32_t divisor, multiplier;
  int shift;

  FastDivide() : FastDivide(1) {}
  explicit FastDivide(std::int64_t by) : divisor(static_cast<std::uint32_t>(by)), shift(0) {
    while ((std::uint64_t{1} << shift) < divisor) ++shift;
    const std::uint64_t rest = (std::uint64_t{1} << shift) - divisor;
    multiplier = static_cast<std::uint32_t>((rest << 32) / divisor + 1);
  }

  __device__ __forceinline__ std::uint32_t operator()(std::uint32_t n) const {
    const std::uint64_t high = std::uint64_t{n} * multiplier >> 32;
    return static_cast<std::uint32_t>((high + n) >> shift);
  }
};

}  // namespace sentei::cuda
