#include "kernels/record.hpp"

namespace sentei::cpu {
namespace {

void append(std::int64_t rows, const float* total, const float* loss, const std::int64_t* correct,
            double* log, std::int64_t* at) {
  double* const row = log + 3 * *at;
  row[0] = double{*total};
  row[1] = double{*loss};
  row[2] = correct ? static_cast<double>(*correct) : 0.0;
  *at = (*at + 1) % rows;
}

}  // namespace

const kernels::RecordKernels& record_kernels() {
  static constexpr kernels::RecordKernels table = {append};
  return table;
}

}  // namespace sentei::cpu
