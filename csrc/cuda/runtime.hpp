// The stream that everything runs on, and CUDA's errors as exceptions.
#pragma once
#include <cuda_runtime.h>

#include "core/backend.hpp"

namespace sentei::cuda {

// Everything is on the first device, whichever another library has made the current one; this makes
// it the current one for a while. Never throws: what follows fails where this could not.
class OnDevice {
 public:
  OnDevice() {
    if (cudaGetDevice(&before_) == cudaSuccess && before_ != kDevice) cudaSetDevice(kDevice);
  }
  ~OnDevice() {
    if (before_ != kDevice) cudaSetDevice(before_);
  }
  OnDevice(const OnDevice&) = delete;
  OnDevice& operator=(const OnDevice&) = delete;

 private:
  static constexpr int kDevice = 0;
  int before_ = kDevice;
};

cudaStream_t stream();
// Where this thread's launches go: stream(), or what records them between capture_begin and
// capture_end. Other threads launch on stream() all the while, so nothing of theirs is recorded.
cudaStream_t launch_stream();
void check(cudaError_t code,
           const char* what);  // DeviceError "device cuda: <what>: <CUDA's words>"
const Backend& cuda_backend();

}  // namespace sentei::cuda
