#include "cpu/isa.hpp"

#include <cstdlib>
#include <cstring>
#include <string>

#include "core/check.hpp"

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
  __builtin_cpu_init();
  const bool v2 = __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("ssse3") &&
                  __builtin_cpu_supports("popcnt");
  const bool v3 = v2 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                  __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") &&
                  __builtin_cpu_supports("f16c") && __builtin_cpu_supports("lzcnt") &&
                  __builtin_cpu_supports("movbe");
  const bool v4 = v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                  __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                  __builtin_cpu_supports("avx512vl");
  return isa == Isa::v2 ? v2 : isa == Isa::v3 ? v3 : v4;
#else
  return false;
#endif
}

Isa active_isa() {
  static const Isa isa = choose();
  return isa;
}

}  // namespace sentei::cpu
