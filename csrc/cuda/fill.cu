// y = value: 4 bytes moved per element.
#include "cuda/device/elementwise.cuh"
#include "cuda/table.cuh"
#include "kernels/fill.hpp"

namespace sentei::cuda {
namespace {

struct Constant {
  float value;
  __device__ float operator()() const { return value; }
};

void forward(std::int64_t n, float* y, float value) {
  map("fill_forward_kernel", n, y, Constant{value});
}

}  // namespace
}  // namespace sentei::cuda
SENTEI_CUDA_TABLE(FillKernels, fill_kernels, forward)
