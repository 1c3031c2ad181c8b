// How products are computed. Sums are always float32.
#pragma once
#include <array>
#include <cstdint>
#include <string>

#include "core/backend.hpp"
#include "core/check.hpp"

namespace sentei {

// float32: as exact as one sum of float32 products, in whatever way is fastest at no more error.
// precise: that sum itself, tap by tap. fast: float32 products, a few times the rounding error.
// tf32: operands rounded to 10 bits of mantissa. bfloat16: to 7 bits. On tensor cores or AMX tiles.
enum class Precision : std::uint8_t { float32, precise, fast, tf32, bfloat16 };

struct PrecisionFacts {
  Precision precision;
  const char* name;
  bool cpu, cuda;  // where it can be had
};
inline constexpr std::array<PrecisionFacts, 5> kPrecisions = {{
    {Precision::float32, "float32", true, true},
    {Precision::precise, "precise", true, true},
    {Precision::fast, "fast", true, false},
    {Precision::tf32, "tf32", false, true},
    {Precision::bfloat16, "bfloat16", true, true},
}};

inline const PrecisionFacts& facts_of(Precision p) {
  return kPrecisions[static_cast<std::size_t>(p)];
}

inline const char* precision_name(Precision p) { return facts_of(p).name; }

inline bool precision_on(Precision p, Device device) {
  return device == Device::cpu ? facts_of(p).cpu : facts_of(p).cuda;
}

inline bool on_tensor_cores(Precision p) {
  return p == Precision::tf32 || p == Precision::bfloat16;
}

// The names that a device has, for messages: "float32, precise or fast"; all of them for null.
inline std::string precision_names(const Device* device) {
  std::string text;
  int left = 0;
  for (const auto& f : kPrecisions) left += !device || precision_on(f.precision, *device);
  for (const auto& f : kPrecisions) {
    if (device && !precision_on(f.precision, *device)) continue;
    text += f.name;
    if (--left) text += left == 1 ? " or " : ", ";
  }
  return text;
}

inline Precision precision_named(const std::string& name) {
  for (const auto& f : kPrecisions)
    if (name == f.name) return f.precision;
  fail<ValueError>("precision must be ", precision_names(nullptr), ", got ", name);
}

}  // namespace sentei
