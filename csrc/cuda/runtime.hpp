// The stream that everything runs on, and CUDA's errors as exceptions.
#pragma once
#include <cuda_runtime.h>

#include "core/backend.hpp"

namespace sentei::cuda {

cudaStream_t stream();
void check(cudaError_t code,
           const char* what);  // DeviceError "device cuda: <what>: <CUDA's words>"
const Backend& cuda_backend();

}  // namespace sentei::cuda
