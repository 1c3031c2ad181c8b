// y[i] = f(in0[i], in1[i], ...): one kernel for all maps. A thread takes four elements at a time
// where every pointer is aligned to 16 bytes, and the ragged end one by one.
#pragma once
#include "cuda/launch.cuh"

namespace sentei::cuda {

constexpr int kMapThreads = 256;

template <class F, class... In>
__global__ void __launch_bounds__(kMapThreads)
    map_kernel(std::int64_t n, std::int64_t vectors, float* y, F f, const In*... in) {
  const std::int64_t first = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  const std::int64_t step = std::int64_t{gridDim.x} * blockDim.x;
  for (std::int64_t i = first; i < vectors; i += step) {
    float4 out;
    const auto four = [&](const auto&... v) {
      out.x = f(v.x...);
      out.y = f(v.y...);
      out.z = f(v.z...);
      out.w = f(v.w...);
    };
    four(reinterpret_cast<const float4*>(in)[i]...);
    reinterpret_cast<float4*>(y)[i] = out;
  }
  for (std::int64_t i = 4 * vectors + first; i < n; i += step) y[i] = f(in[i]...);
}

inline bool aligned16(const void* p) { return reinterpret_cast<std::uintptr_t>(p) % 16 == 0; }

template <class F, class... In>
void map(const char* name, std::int64_t n, float* y, F f, const In*... in) {
  const bool wide = aligned16(y) && (... && aligned16(in));
  const std::int64_t vectors = wide ? n / 4 : 0;
  const std::int64_t work = vectors + (n - 4 * vectors);
  launch(name, map_kernel<F, In...>, blocks_for(work, kMapThreads, 8192), kMapThreads, 0, n,
         vectors, y, f, in...);
}

}  // namespace sentei::cuda
