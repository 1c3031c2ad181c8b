#pragma once
#include <cstdint>

#include "kernels/optimizers.hpp"
#include "kernels/semi_sync.hpp"

namespace sentei::kernels {

// The updates of OptimizerKernels on the rows of the active group; weights and states of all other
// rows keep their bits. Elsewhere than on the CPU, whose indices are checked, a group that is out
// of range has no rows, and a row out of range is left out.
struct SemiSyncAdaptiveKernels {
  void (*adagrad)(const SemiSyncRows& rows, float* w, const float* dw, float* h, const float* lr,
                  float eps, float decay);
  void (*rmsprop)(const SemiSyncRows& rows, float* w, const float* dw, float* h, const float* lr,
                  float alpha, float keep, float eps, float decay);
  // count (rows): updates that each row has had; those of active rows go up by one.
  void (*adam)(const SemiSyncRows& rows, float* w, const float* dw, float* m, float* v,
               std::int64_t* count, const float* lr, const AdamScalars& s);
};

}  // namespace sentei::kernels
SENTEI_KERNEL_TABLE(SemiSyncAdaptiveKernels, semi_sync_adaptive_kernels)
