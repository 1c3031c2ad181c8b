// Which GPUs there are and whether compiled code for them is in this module.
#include <cuda_runtime.h>

#include <algorithm>

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
    DeviceInfo info{i, p.name, p.major, p.minor, p.totalGlobalMem, false, ""};
    // To ask takes a context, some hundred megabytes on the device: once for each kind.
    const auto same = std::find_if(d.list.begin(), d.list.end(), [&](const DeviceInfo& one) {
      return one.major == p.major && one.minor == p.minor;
    });
    if (same != d.list.end()) {
      info.usable = same->usable;
      info.problem = same->problem;
    } else {
      cudaFuncAttributes attributes;
      cudaError_t code = cudaSetDevice(i);
      if (code == cudaSuccess) code = cudaFuncGetAttributes(&attributes, probe_kernel);
      info.usable = code == cudaSuccess;
      if (!info.usable) info.problem = cudaGetErrorString(code);
    }
    d.list.push_back(info);
  }
  cudaSetDevice(current);
  cudaGetLastError();
  return d;
}

}  // namespace sentei::cuda
