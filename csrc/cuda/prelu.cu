// y = x where x > 0, else a x: 8 bytes per element. Backward in one pass, 12 bytes per element: dx,
// and per block the sum of x dy over x <= 0. A thread adds its four lanes and its elements in
// floats for up to 16 vectors, then in doubles; the block as a tree, the blocks in order.
#include "cuda/device/elementwise.cuh"
#include "cuda/device/reduce.cuh"
#include "cuda/table.cuh"
#include "kernels/prelu.hpp"

namespace sentei::cuda {

using namespace sentei::kernels;
namespace {

constexpr int kThreads = 256;

// map_kernel with the slope read from device memory.
__global__ void __launch_bounds__(kThreads)
    prelu_forward_kernel(std::int64_t n, std::int64_t vectors, const float* x, const float* a,
                         float* y) {
  const float slope = *a;
  const std::int64_t first = std::int64_t{blockIdx.x} * kThreads + threadIdx.x;
  const std::int64_t step = std::int64_t{gridDim.x} * kThreads;
  const auto f = [=](float v) { return v > 0.0f ? v : slope * v; };
  for (std::int64_t i = first; i < vectors; i += step) {
    const float4 v = reinterpret_cast<const float4*>(x)[i];
    reinterpret_cast<float4*>(y)[i] = make_float4(f(v.x), f(v.y), f(v.z), f(v.w));
  }
  for (std::int64_t i = 4 * vectors + first; i < n; i += step) y[i] = f(x[i]);
}

// Block b takes elements [b, b + 1) kPreluBlock, as prelu_tasks counts them.
template <bool Wide>
__global__ void __launch_bounds__(kThreads)
    prelu_backward_kernel(std::int64_t n, const float* x, const float* a, const float* dy,
                          float* dx, double* partial) {
  const float slope = *a;
  const std::int64_t begin = std::int64_t{blockIdx.x} * kPreluBlock;
  const std::int64_t end = n - begin < kPreluBlock ? n : begin + kPreluBlock;
  float sum = 0.0f;
  const auto f = [&](float v, float d) {
    const bool up = v > 0.0f;
    if (!up) sum += v * d;
    return up ? d : slope * d;
  };
  std::int64_t tail = begin;
  if constexpr (Wide) {
    const std::int64_t vectors = (end - begin) / 4;
    tail += 4 * vectors;
    const auto* vx = reinterpret_cast<const float4*>(x + begin);
    const auto* vd = reinterpret_cast<const float4*>(dy + begin);
    auto* out = reinterpret_cast<float4*>(dx + begin);
#pragma unroll 4
    for (std::int64_t i = threadIdx.x; i < vectors; i += kThreads) {
      const float4 v = vx[i], d = vd[i];
      out[i] = make_float4(f(v.x, d.x), f(v.y, d.y), f(v.z, d.z), f(v.w, d.w));
    }
  }
  for (std::int64_t i = tail + threadIdx.x; i < end; i += kThreads) dx[i] = f(x[i], dy[i]);
  const double total = block_sum<kThreads>(static_cast<double>(sum));
  if (threadIdx.x == 0) partial[blockIdx.x] = total;
}

void forward(std::int64_t n, const float* x, const float* a, float* y) {
  const std::int64_t vectors = aligned16(x) && aligned16(y) ? n / 4 : 0;
  launch("prelu_forward_kernel", prelu_forward_kernel,
         blocks_for(vectors + (n - 4 * vectors), kThreads, 8192), kThreads, 0, n, vectors, x, a, y);
}

void backward(std::int64_t n, const float* x, const float* a, const float* dy, float* dx, float* da,
              double* partial) {
  const std::int64_t tasks = prelu_tasks(n);
  const bool wide = aligned16(x) && aligned16(dy) && aligned16(dx);
  launch("prelu_backward_kernel", wide ? prelu_backward_kernel<true> : prelu_backward_kernel<false>,
         static_cast<unsigned>(tasks), kThreads, 0, n, x, a, dy, dx, partial);
  finish_sum("prelu_backward_finish_kernel", tasks, partial, da);
}

}  // namespace
}  // namespace sentei::cuda
SENTEI_CUDA_TABLE(PreluKernels, prelu_kernels, forward, backward)
