// Which GPUs there are and whether compiled code for them is in this module.
#include <cuda_runtime.h>

#include "cuda/devices.hpp"

namespace sentei::cuda {
namespace {

// Its attributes tell whether the module holds code that a device can run.
__global__ void probe_kernel(int* out) {
  if (out) *out = 1;
}

}  // namespace

Devices query_devices() {
  Devices d;
  cudaDriverGetVersion(&d.driver_version);
  cudaRuntimeGetVersion(&d.runtime_version);
  if (d.driver_version == 0) return d;
  int count = 0;
  const cudaError_t listed = cudaGetDeviceCount(&count);
  if (listed != cudaSuccess) {
    d.error = cudaGetErrorString(listed);
    return d;
  }
  int current = 0;  // the caller's device stays the current one
  cudaGetDevice(&current);
  for (int i = 0; i < count; ++i) {
    cudaDeviceProp p;
    if (cudaGetDeviceProperties(&p, i) != cudaSuccess) continue;
    cudaFuncAttributes attributes;
    const bool usable = cudaSetDevice(i) == cudaSuccess &&
                        cudaFuncGetAttributes(&attributes, probe_kernel) == cudaSuccess;
    d.list.push_back({i, p.name, p.major, p.minor, p.totalGlobalMem, usable});
  }
  cudaSetDevice(current);
  cudaGetLastError();
  return d;
}

}  // namespace sentei::cuda
