// log[at] = (total, loss, correct);  at = (at + 1) % rows. One thread; some forty bytes.
// A place outside the log, which the host cannot see here, writes nothing and starts again at 0.
#include "cuda/launch.cuh"
#include "cuda/table.cuh"
#include "kernels/record.hpp"

namespace sentei::cuda {
namespace {

__global__ void record_append_kernel(std::int64_t rows, const float* total, const float* loss,
                                     const std::int64_t* correct, double* log, std::int64_t* at) {
  const std::int64_t now = *at;
  if (now >= 0 && now < rows) {
    double* const row = log + 3 * now;
    row[0] = static_cast<double>(*total);
    row[1] = static_cast<double>(*loss);
    row[2] = correct ? static_cast<double>(*correct) : 0.0;
    *at = (now + 1) % rows;
  } else {
    *at = 0;
  }
}

void append(std::int64_t rows, const float* total, const float* loss, const std::int64_t* correct,
            double* log, std::int64_t* at) {
  launch("record_append_kernel", record_append_kernel, 1, 1, 0, rows, total, loss, correct, log,
         at);
}

}  // namespace
}  // namespace sentei::cuda
SENTEI_CUDA_TABLE(RecordKernels, record_kernels, append)
