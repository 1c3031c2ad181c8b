// Which build of the CPU kernels runs. Every kernel source is compiled once per tier and exports
// one constant table of function pointers in namespace sentei::cpu::<tier>; SENTEI_PICK_TIER
// defines the function that picks the active one (tables.cpp).
#pragma once

namespace sentei::cpu {

enum class Isa { plain, v2, v3, v4 };

Isa active_isa();               // chosen once, at import; SENTEI_ISA=v2|v3|v4|plain overrides
const char* isa_name(Isa isa);  // "v3"
bool isa_built(Isa isa);
bool isa_supported(Isa isa);  // by this CPU

}  // namespace sentei::cpu

#if defined(SENTEI_TIER_PLAIN)
#define SENTEI_PICK_PLAIN(table) \
  case Isa::plain:               \
    return plain::table;
#else
#define SENTEI_PICK_PLAIN(table)
#endif
#if defined(SENTEI_TIER_V2)
#define SENTEI_PICK_V2(table) \
  case Isa::v2:               \
    return v2::table;
#else
#define SENTEI_PICK_V2(table)
#endif
#if defined(SENTEI_TIER_V3)
#define SENTEI_PICK_V3(table) \
  case Isa::v3:               \
    return v3::table;
#else
#define SENTEI_PICK_V3(table)
#endif
#if defined(SENTEI_TIER_V4)
#define SENTEI_PICK_V4(table) \
  case Isa::v4:               \
    return v4::table;
#else
#define SENTEI_PICK_V4(table)
#endif

// Declares the tables of a source, one for each tier.
#define SENTEI_TIER_TABLES(Type, table) \
  namespace plain {                     \
  extern const Type table;              \
  }                                     \
  namespace v2 {                        \
  extern const Type table;              \
  }                                     \
  namespace v3 {                        \
  extern const Type table;              \
  }                                     \
  namespace v4 {                        \
  extern const Type table;              \
  }

// SENTEI_PICK_TIER(AddKernels, add_kernels) defines the function that returns the active tier's.
#define SENTEI_PICK_TIER(Type, table) \
  SENTEI_TIER_TABLES(Type, table)     \
  const Type& table() {               \
    switch (active_isa()) {           \
      SENTEI_PICK_V4(table)           \
      SENTEI_PICK_V3(table)           \
      SENTEI_PICK_V2(table)           \
      SENTEI_PICK_PLAIN(table)        \
      default:                        \
        __builtin_unreachable();      \
    }                                 \
  }
