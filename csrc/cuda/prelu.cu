// y = x where x > 0, else a x: 8 bytes per element. Backward in one pass, 12 bytes per element: dx,
// and per block the sum of x dy over x <= 0. A thread adds eight elements in floats, then in
// doubles; then the block's threads and last the blocks, always in the same order.
#include <algorithm>

#include "cuda/device/elementwise.cuh"
#include "cuda/device/reduce.cuh"
#include "cuda/device/vectors.cuh"
#include "cuda/table.cuh"
#include "kernels/prelu.hpp"

namespace sentei::cuda {

using namespace sentei::kernels;
namespace {

constexpr int kThreads = 256, kBatch = 2;

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

// A block takes a range of the vectors; the last n mod 4 elements go to the last block.
template <int V>
__global__ void __launch_bounds__(kThreads)
    prelu_backward_kernel(std::int64_t n, std::int64_t per, const float* x, const float* a,
                          const float* dy, float* dx, double* partial) {
  const float slope = *a;
  const std::int64_t vectors = n / V, begin = std::int64_t{blockIdx.x} * per;
  const std::int64_t end = vectors - begin < per ? vectors : begin + per;
  float sum = 0.0f;
  const auto f = [&](float v, float d) {
    const bool up = v > 0.0f;
    if (!up) sum = fmaf(v, d, sum);
    return up ? d : slope * d;
  };
  double total = 0;
  for (std::int64_t i = begin + threadIdx.x; i < end; i += kBatch * kThreads) {
    Vec<V> v[kBatch], d[kBatch];  // all loads first: dx may be x or dy
#pragma unroll
    for (int j = 0; j < kBatch; ++j)
      if (i + j * kThreads < end) {
        v[j] = load<V>(x + (i + j * kThreads) * V);
        d[j] = load<V>(dy + (i + j * kThreads) * V);
      }
#pragma unroll
    for (int j = 0; j < kBatch; ++j)
      if (i + j * kThreads < end) {
#pragma unroll
        for (int c = 0; c < V; ++c) d[j].v[c] = f(v[j].v[c], d[j].v[c]);
        store<V>(dx + (i + j * kThreads) * V, d[j]);
      }
    total += static_cast<double>(sum);
    sum = 0.0f;
  }
  const std::int64_t last = vectors * V + threadIdx.x;
  if (blockIdx.x + 1 == gridDim.x && last < n) dx[last] = f(x[last], dy[last]);
  total = block_sum<kThreads>(total + static_cast<double>(sum));
  if (threadIdx.x == 0) partial[blockIdx.x] = total;
}

void forward(std::int64_t n, const float* x, const float* a, float* y) {
  const std::int64_t vectors = aligned16(x) && aligned16(y) ? n / 4 : 0;
  launch("prelu_forward_kernel", prelu_forward_kernel,
         blocks_for(vectors + (n - 4 * vectors), kThreads, 8192), kThreads, 0, n, vectors, x, a, y);
}

// Blocks: at most four for each of 132 multiprocessors, at least a batch for each thread.
std::int64_t partials(std::int64_t n) {
  return std::min<std::int64_t>(ceil_div(n, 4 * kBatch * kThreads), 528);
}

void backward(std::int64_t n, const float* x, const float* a, const float* dy, float* dx, float* da,
              double* partial) {
  const bool wide = aligned16(x) && aligned16(dy) && aligned16(dx);
  const std::int64_t blocks = partials(n);
  if (blocks > 0)
    launch("prelu_backward_kernel", wide ? prelu_backward_kernel<4> : prelu_backward_kernel<1>,
           static_cast<unsigned>(blocks), kThreads, 0, n, ceil_div(n / (wide ? 4 : 1), blocks), x,
           a, dy, dx, partial);
  finish_sum("prelu_backward_finish_kernel", blocks, partial, da);
}

}  // namespace
}  // namespace sentei::cuda
SENTEI_CUDA_TABLE(PreluKernels, prelu_kernels, partials, forward, backward)
