// mean and var of columns: the first pass of batch norm (batch_norm.cpp), 4 bytes per element.
#include "cpu/column_statistics.hpp"

#include "cpu/batch_norm_passes.hpp"

namespace sentei::cpu::SENTEI_ISA {
namespace {

void run(std::int64_t rows, std::int64_t C, const float* x, float* mean, float* var,
         std::byte* workspace) {
  const View v = view_of(rows, C);
  column_statistics(v, Scratch(v, workspace), x, rows,
                    [=](std::int64_t c, double m, double variance) {
                      mean[c] = static_cast<float>(m);
                      var[c] = static_cast<float>(variance);
                    });
}

}  // namespace

extern const ColumnStatisticsKernels column_statistics_kernels;
const ColumnStatisticsKernels column_statistics_kernels = {workspace_bytes, run};

}  // namespace sentei::cpu::SENTEI_ISA
