// y = a + b, elementwise, or its ReLU. 12 bytes moved per element.
#include "cuda/device/elementwise.cuh"
#include "cuda/table.cuh"
#include "kernels/add.hpp"

namespace sentei::cuda {
namespace {

struct Add {
  __device__ float operator()(float a, float b) const { return a + b; }
};

struct AddRelu {
  __device__ float operator()(float a, float b) const {
    const float v = a + b;
    return v <= 0 ? 0 : v;  // a NaN stays one
  }
};

void forward(std::int64_t n, const float* a, const float* b, bool relu, float* y) {
  if (relu)
    map("add_relu_forward_kernel", n, y, AddRelu{}, a, b);
  else
    map("add_forward_kernel", n, y, Add{}, a, b);
}

}  // namespace
}  // namespace sentei::cuda
SENTEI_CUDA_TABLE(AddKernels, add_kernels, forward)
