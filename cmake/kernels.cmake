# The CPU kernels: the same sources as one object library per tier; chosen at run time (csrc/cpu/isa.hpp).
set(sentei_default_tiers plain)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
  set(sentei_default_tiers v2 v3 v4)
endif()
set(SENTEI_TIERS "${sentei_default_tiers}" CACHE STRING "Instruction-set tiers to build: v2 v3 v4 plain")
set(sentei_tier_definitions "")
foreach(tier IN LISTS SENTEI_TIERS)
  if(NOT tier MATCHES "^(plain|v2|v3|v4)$")
    message(FATAL_ERROR "SENTEI_TIERS must list plain, v2, v3 or v4, got ${tier}")
  endif()
  string(TOUPPER ${tier} upper)
  list(APPEND sentei_tier_definitions SENTEI_TIER_${upper})
endforeach()

set(sentei_flags_plain "")
set(sentei_flags_v2 -march=x86-64-v2)
set(sentei_flags_v3 -march=x86-64-v3)
set(sentei_flags_v4 -march=x86-64-v4 -mprefer-vector-width=512)

# With sanitizers full optimisation takes minutes to compile and shows nothing more.
set(sentei_optimise -O3)
if(SENTEI_SANITIZE)
  set(sentei_optimise -O1)
endif()

# Flags of all kernels and those given. Wide vectors as arguments of inlined functions change no call
# between objects; GCC's own AVX-512 header (_mm512_max_ps) looks uninitialised to GCC 12.
function(sentei_kernel_options target)
  set(flags ${sentei_optimise} -ffp-contract=fast -fno-math-errno -fno-trapping-math -Wno-psabi ${ARGN})
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    list(APPEND flags -Wno-maybe-uninitialized)
  elseif(CMAKE_CXX_COMPILER_FRONTEND_VARIANT STREQUAL "MSVC")  # clang-cl
    list(TRANSFORM flags PREPEND "/clang:")
  endif()
  target_compile_options(${target} PRIVATE ${flags})
endfunction()

set(sentei_kernel_objects "")
foreach(tier IN LISTS SENTEI_TIERS)
  add_library(sentei_kernels_${tier} OBJECT ${sentei_kernel_sources})
  target_include_directories(sentei_kernels_${tier} PRIVATE csrc)
  target_compile_definitions(sentei_kernels_${tier} PRIVATE SENTEI_ISA=${tier} ${sentei_tier_definitions})
  sentei_kernel_options(sentei_kernels_${tier} ${sentei_flags_${tier}})
  list(APPEND sentei_kernel_objects $<TARGET_OBJECTS:sentei_kernels_${tier}>)
endforeach()

# Tiles of bfloat16 (csrc/cpu/bf16_units.cpp): two objects beside the v4 tier, where the compiler
# knows the instructions (Clang 16 dies of them) and the system is one whose leave to use tiles we
# know to ask for.
include(CheckCXXCompilerFlag)
set(sentei_has_bf16_flags OFF)
if(v4 IN_LIST SENTEI_TIERS AND CMAKE_SYSTEM_NAME STREQUAL "Linux" AND
    NOT (CMAKE_CXX_COMPILER_ID MATCHES "Clang" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 19))
  unset(sentei_has_bf16_flags)
  check_cxx_compiler_flag("-mavx512bf16 -mamx-tile -mamx-bf16" sentei_has_bf16_flags)
endif()
if(sentei_has_bf16_flags)
  foreach(unit IN ITEMS amx avx512bf16)
    string(REPLACE avx512bf16 avx512 name ${unit})
    add_library(sentei_kernels_${unit} OBJECT csrc/cpu/bf16_${name}.cpp)
    target_include_directories(sentei_kernels_${unit} PRIVATE csrc)
    target_compile_definitions(sentei_kernels_${unit} PRIVATE SENTEI_ISA=${unit})
    sentei_kernel_options(sentei_kernels_${unit} ${sentei_flags_v4} -mavx512bf16)
    list(APPEND sentei_kernel_objects $<TARGET_OBJECTS:sentei_kernels_${unit}>)
  endforeach()
  target_compile_options(sentei_kernels_amx PRIVATE -mamx-tile -mamx-bf16)
  list(APPEND sentei_tier_definitions SENTEI_BF16_TILES)
endif()

# Only PyInit_* leaves a module.
function(sentei_export_only_init target)
  if(APPLE)
    target_link_options(${target} PRIVATE "-Wl,-exported_symbol,_PyInit_*")
    return()
  elseif(WIN32)  # exports nothing that does not ask for it
    return()
  endif()
  file(WRITE ${CMAKE_CURRENT_BINARY_DIR}/exports.map "{ global: PyInit_*; local: *; };\n")
  target_link_options(${target} PRIVATE -Wl,--version-script=${CMAKE_CURRENT_BINARY_DIR}/exports.map)
endfunction()
