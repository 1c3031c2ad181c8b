#pragma once
#include <cstdint>

#include "kernels/table.hpp"

namespace sentei::kernels {

// log (rows, 3): row at[0] = total, loss, correct (0 where null); at[0] = (at[0] + 1) % rows.
struct RecordKernels {
  void (*append)(std::int64_t rows, const float* total, const float* loss,
                 const std::int64_t* correct, double* log, std::int64_t* at);
};

}  // namespace sentei::kernels
SENTEI_KERNEL_TABLE(RecordKernels, record_kernels)
