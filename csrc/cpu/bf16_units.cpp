// Which unit multiplies bfloat16: what was built, what the CPU has, what the system allows.
#include "cpu/bf16_units.hpp"

#include <atomic>
#include <cstdlib>
#include <cstring>

#include "core/check.hpp"
#include "cpu/bf16.hpp"
#include "cpu/isa.hpp"

#if defined(SENTEI_BF16_TILES)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace sentei::cpu {

#if defined(SENTEI_BF16_TILES)
namespace amx {
extern const Bf16Kernels bf16_kernels;
}
namespace avx512bf16 {
extern const Bf16Kernels bf16_kernels;
}
#endif

namespace {

constexpr Bf16Unit kAll[] = {Bf16Unit::amx, Bf16Unit::avx512, Bf16Unit::portable};

#if defined(SENTEI_BF16_TILES)
bool has_avx512_bf16() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a >> 5 & 1u);
}

// The CPU, the system's saving of tiles when it switches threads, and its permission for this
// process: Linux gives it on request (arch_prctl), for all threads and for children.
bool has_amx() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
  constexpr unsigned bf16 = 1u << 22, tile = 1u << 24, xsave_tiles = 3u << 17;
  if ((d & bf16) == 0 || (d & tile) == 0) return false;
  unsigned low = 0, high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  if ((low & xsave_tiles) != xsave_tiles) return false;
  constexpr long request_permission = 0x1023, tile_data = 18;
  return syscall(SYS_arch_prctl, request_permission, tile_data) == 0 && amx::bf16_kernels.works();
}
#endif

bool supported(Bf16Unit unit) {
  if (unit == Bf16Unit::portable) return true;
#if defined(SENTEI_BF16_TILES)
  // An older tier was asked for: as on an older CPU.
  if (active_isa() != Isa::v4) return false;
  static const bool avx512 = has_avx512_bf16(), amx = avx512 && has_amx();
  return unit == Bf16Unit::amx ? amx : avx512;
#else
  return false;
#endif
}

Bf16Unit named(const char* name, const char* where) {
  for (Bf16Unit unit : kAll) {
    if (std::strcmp(name, bf16_unit_name(unit)) != 0) continue;
    SENTEI_CHECK(ValueError, bf16_unit_built(unit), where,
                 ": the unit must be one that was built, got ", name);
    SENTEI_CHECK(ValueError, supported(unit), where,
                 ": this CPU and its system must support the unit, got ", name);
    return unit;
  }
  fail<ValueError>(where, ": must be one of amx, avx512, portable, got ", name);
}

// Intel cores are done with one vdpbf16ps every other cycle: half the speed of their float32
// kernels (measured), so there it is for those who ask.
bool fast(Bf16Unit unit) {
#if defined(SENTEI_BF16_TILES)
  __builtin_cpu_init();
  if (unit == Bf16Unit::avx512) return __builtin_cpu_is("amd");
#endif
  return unit == Bf16Unit::amx;
}

Bf16Unit choose() {
  const char* wanted = std::getenv("SENTEI_BF16");
  if (wanted && *wanted) return named(wanted, "SENTEI_BF16");
  for (Bf16Unit unit : kAll)
    if (fast(unit) && supported(unit)) return unit;
  return Bf16Unit::portable;
}

std::atomic<Bf16Unit>& chosen() {
  static std::atomic<Bf16Unit> unit{choose()};
  return unit;
}

}  // namespace

const char* bf16_unit_name(Bf16Unit unit) {
  return unit == Bf16Unit::amx ? "amx" : unit == Bf16Unit::avx512 ? "avx512" : "portable";
}

bool bf16_unit_built(Bf16Unit unit) {
#if defined(SENTEI_BF16_TILES)
  return unit >= Bf16Unit::amx;
#else
  return unit == Bf16Unit::portable;
#endif
}

bool bf16_unit_supported(Bf16Unit unit) { return supported(unit); }
Bf16Unit bf16_unit() { return chosen().load(); }
void set_bf16_unit(const char* name) { chosen().store(named(name, "set_bfloat16_unit")); }

const Bf16Kernels& bf16_tiles() {
#if defined(SENTEI_BF16_TILES)
  if (bf16_unit() == Bf16Unit::amx) return amx::bf16_kernels;
  if (bf16_unit() == Bf16Unit::avx512) return avx512bf16::bf16_kernels;
#endif
  fail<ValueError>("bfloat16: the unit must have tiles, got ", bf16_unit_name(bf16_unit()));
}

}  // namespace sentei::cpu
