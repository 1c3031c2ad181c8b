// SENTEI_CUDA_TABLE(AddKernels, add_kernels, forward, ...): fills the table of an op with this
// file's launchers. The line in tables.cpp finds it.
#pragma once

#define SENTEI_CUDA_TABLE(Type, table, ...)                      \
  namespace sentei::cuda {                                       \
  static constexpr kernels::Type table##_filled = {__VA_ARGS__}; \
  extern const void* const table##_entry;                        \
  const void* const table##_entry = &table##_filled;             \
  }
