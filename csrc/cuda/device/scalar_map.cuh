// y[i] = f(x[i]) where f needs numbers from device memory: make() reads them once per thread and
// returns f. Four elements at a time where both pointers are aligned to 16 bytes. y may be x.
#pragma once
#include "cuda/device/elementwise.cuh"

namespace sentei::cuda {

template <class Make>
__global__ void __launch_bounds__(kMapThreads)
    scalar_map_kernel(std::int64_t n, std::int64_t vectors, float* y, Make make, const float* x) {
  const std::int64_t first = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  const std::int64_t step = std::int64_t{gridDim.x} * blockDim.x;
  const auto f = make();
  for (std::int64_t i = first; i < vectors; i += step) {
    const float4 v = reinterpret_cast<const float4*>(x)[i];
    reinterpret_cast<float4*>(y)[i] = float4{f(v.x), f(v.y), f(v.z), f(v.w)};
  }
  for (std::int64_t i = 4 * vectors + first; i < n; i += step) y[i] = f(x[i]);
}

template <class Make>
void scalar_map(const char* name, std::int64_t n, float* y, Make make, const float* x) {
  const std::int64_t vectors = aligned16(y) && aligned16(x) ? n / 4 : 0;
  const std::int64_t work = vectors + (n - 4 * vectors);
  launch(name, scalar_map_kernel<Make>, blocks_for(work, kMapThreads, 8192), kMapThreads, 0, n,
         vectors, y, make, x);
}

}  // namespace sentei::cuda
