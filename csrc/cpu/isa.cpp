#include "cpu/isa.hpp"

#include <cstdlib>
#include <cstring>
#include <string>

#include "core/check.hpp"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace sentei::cpu {
namespace {

constexpr Isa kAll[] = {Isa::v4, Isa::v3, Isa::v2, Isa::plain};

Isa choose() {
  const char* wanted = std::getenv("SENTEI_ISA");
  if (wanted && *wanted) {
    for (Isa isa : kAll) {
      if (std::strcmp(wanted, isa_name(isa)) != 0) continue;
      SENTEI_CHECK(ValueError, isa_built(isa),
                   "SENTEI_ISA: the tier must be one that was built, got ", wanted);
      SENTEI_CHECK(ValueError, isa_supported(isa),
                   "SENTEI_ISA: this CPU must support the tier, got ", wanted);
      return isa;
    }
    fail<ValueError>("SENTEI_ISA: must be one of v4, v3, v2, plain, got ", wanted);
  }
  for (Isa isa : kAll)
    if (isa_built(isa) && isa_supported(isa)) return isa;
  fail<DeviceError>(
      "sentei: this CPU must support one of the instruction-set tiers that were built (x86-64-v2 "
      "needs SSE4.2); "
      "build with -DSENTEI_TIERS=plain for other CPUs");
}

#if defined(__x86_64__)
// Asked of the CPU itself: compilers differ in the names that __builtin_cpu_supports knows, and on
// Windows it wants a library of its own.
struct Registers {
  unsigned a = 0, b = 0, c = 0, d = 0;
};
Registers cpuid(unsigned leaf) {
  Registers r;
  __get_cpuid_count(leaf, 0, &r.a, &r.b, &r.c, &r.d);  // zeros when there is no such leaf
  return r;
}
constexpr bool has(unsigned value, unsigned bits) { return (value & bits) == bits; }

// Whether the system saves these registers when it switches threads (bits of XCR0).
bool saved(unsigned bits) {
  constexpr unsigned osxsave = 1u << 27;
  if (!has(cpuid(1).c, osxsave)) return false;
  unsigned low = 0, high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return has(low, bits);
}

// The levels of the x86-64 psABI, as far as the kernels use them.
bool level_supported(Isa isa) {
  constexpr unsigned ssse3 = 1u << 9, fma = 1u << 12, sse42 = 1u << 20, movbe = 1u << 22;
  constexpr unsigned popcnt = 1u << 23, avx = 1u << 28, f16c = 1u << 29, lzcnt = 1u << 5;
  constexpr unsigned bmi = 1u << 3, avx2 = 1u << 5, bmi2 = 1u << 8;
  constexpr unsigned f = 1u << 16, dq = 1u << 17, cd = 1u << 28, bw = 1u << 30, vl = 1u << 31;
  constexpr unsigned ymm = 0x6, zmm = 0xE6;
  const unsigned base = cpuid(1).c, wide = cpuid(7).b;
  if (!has(base, ssse3 | sse42 | popcnt)) return false;
  if (isa == Isa::v2) return true;
  if (!has(base, fma | movbe | avx | f16c) || !has(wide, bmi | avx2 | bmi2) ||
      !has(cpuid(0x80000001).c, lzcnt) || !saved(ymm))
    return false;
  return isa == Isa::v3 || (has(wide, f | dq | cd | bw | vl) && saved(zmm));
}
#endif

}  // namespace

const char* isa_name(Isa isa) {
  switch (isa) {
    case Isa::v4:
      return "v4";
    case Isa::v3:
      return "v3";
    case Isa::v2:
      return "v2";
    default:
      return "plain";
  }
}

bool isa_built(Isa isa) {
  switch (isa) {
#if defined(SENTEI_TIER_PLAIN)
    case Isa::plain:
      return true;
#endif
#if defined(SENTEI_TIER_V2)
    case Isa::v2:
      return true;
#endif
#if defined(SENTEI_TIER_V3)
    case Isa::v3:
      return true;
#endif
#if defined(SENTEI_TIER_V4)
    case Isa::v4:
      return true;
#endif
    default:
      return false;
  }
}

bool isa_supported(Isa isa) {
  if (isa == Isa::plain) return true;
#if defined(__x86_64__)
  return level_supported(isa);
#else
  return false;
#endif
}

Isa active_isa() {
  static const Isa isa = choose();
  return isa;
}

}  // namespace sentei::cpu
