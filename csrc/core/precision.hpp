// How products are computed. Sums are always float32.
#pragma once
#include <cstdint>
#include <string>

#include "core/check.hpp"

namespace sentei {

// float32: exact products. tf32: operands rounded to 10 bits of mantissa on tensor cores.
// bfloat16: operands rounded to 7 bits.
enum class Precision : std::uint8_t { float32, tf32, bfloat16 };

inline const char* precision_name(Precision p) {
  return p == Precision::float32 ? "float32" : p == Precision::tf32 ? "tf32" : "bfloat16";
}

inline Precision precision_named(const std::string& name) {
  if (name == "float32") return Precision::float32;
  if (name == "tf32") return Precision::tf32;
  if (name == "bfloat16") return Precision::bfloat16;
  fail<ValueError>("precision must be float32, tf32 or bfloat16, got ", name);
}

}  // namespace sentei
