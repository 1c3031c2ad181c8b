// A border around images, or their middle: a thread per vector of y, 8 bytes per element kept.
#include "cuda/device/pool2d.cuh"
#include "cuda/table.cuh"
#include "kernels/pad2d.hpp"

namespace sentei::cuda {
namespace {

using kernels::Pad2d;
using std::int64_t;

template <int V>
__global__ void __launch_bounds__(kPoolThreads)
    pad2d_shift_kernel(std::uint32_t n, Pixels out, int H, int W, int64_t C, int top, int left,
                       float fill, const float* x, float* y) {
  const std::uint32_t i = blockIdx.x * kPoolThreads + threadIdx.x;
  if (i >= n) return;
  const Pixel o = out.at(i);
  const int h = o.h - top, w = o.w - left;
  Vec<V> value;
  if (h >= 0 && h < H && w >= 0 && w < W) {
    value = load<V>(x + ((int64_t{o.n} * H + h) * W + w) * C + o.c);
  } else {
#pragma unroll
    for (int e = 0; e < V; ++e) value.v[e] = fill;
  }
  store<V>(y + int64_t{i} * V, value);
}

template <int V>
void shift_as(const Pad2d& g, const float* x, float* y, float fill) {
  const Pixels out(g.P, g.Q, g.C, V);
  for_images("pad2d", g.N, g.P * g.Q * (g.C / V), [&](int64_t first, std::uint32_t n) {
    launch("pad2d_shift_kernel", pad2d_shift_kernel<V>, blocks_for(n, kPoolThreads, n),
           kPoolThreads, 0, n, out, static_cast<int>(g.H), static_cast<int>(g.W), g.C,
           static_cast<int>(g.top), static_cast<int>(g.left), fill, x + first * g.H * g.W * g.C,
           y + first * g.P * g.Q * g.C);
  });
}

void shift(const Pad2d& g, const float* x, float* y, float fill) {
  const bool wide = g.C % 4 == 0 && aligned_to_vectors(x, y);
  (wide ? shift_as<4> : shift_as<1>)(g, x, y, fill);
}

}  // namespace
}  // namespace sentei::cuda
SENTEI_CUDA_TABLE(Pad2dKernels, pad2d_kernels, shift)
