// What a backend provides: for each op one struct of function pointers, filled by csrc/cpu (once
// per instruction-set tier) and by csrc/cuda. Functions take sizes and pointers that csrc/ops has
// checked; whatever changes from step to step (learning rate, group, seed) comes as a pointer into
// the device's memory.
#pragma once
#include "core/backend.hpp"

// SENTEI_KERNEL_TABLE(AddKernels, add_kernels): use as kernels::add_kernels(device).forward(...).
#define SENTEI_KERNEL_TABLE(Type, table)                                             \
  namespace sentei::cpu {                                                            \
  const kernels::Type& table();                                                      \
  }                                                                                  \
  namespace sentei::kernels {                                                        \
  inline const Type& table(Device device) {                                          \
    return device == Device::cpu ? cpu::table()                                      \
                                 : *static_cast<const Type*>(backend_table(#table)); \
  }                                                                                  \
  }
