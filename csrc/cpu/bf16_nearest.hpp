// The nearest bfloat16, as a float32, for the kernels of every tier.
#pragma once
#include "cpu/simd.hpp"

namespace sentei::cpu::SENTEI_ISA {
namespace {

typedef std::uint32_t vu __attribute__((vector_size(kLanes * 4)));

// To nearest, ties to even; infinities and NaN stay what they are.
SENTEI_INLINE vf nearest(vf v) {
  const vu bits = (vu)v;
  const vu up = (bits + (((bits >> 16) & 1u) + 0x7fffu)) & 0xffff0000u;
  const vu finite = (vu)((bits & 0x7f800000u) != 0x7f800000u);
  return (vf)((up & finite) | (bits & ~finite));
}

}  // namespace
}  // namespace sentei::cpu::SENTEI_ISA
