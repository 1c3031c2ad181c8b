// Gates h(m) of filters or weights: y[i, j] = w[i, j] h[i], 8 bytes per weight; backward
// dw = dy h and dh[i] = sum_j dy w (or dy sign(w)) in one pass, 12. A block owns a row: each
// thread adds its products in a float for 64 steps, then in a double, then the block in a tree.
// Rows of one element are plain maps. The penalty is one block over h.
#include "cuda/device/elementwise.cuh"
#include "cuda/device/reduce.cuh"
#include "cuda/table.cuh"
#include "kernels/gate.hpp"

namespace sentei::cuda {
namespace {

constexpr int kThreads = 256;
constexpr std::int64_t kRows = 65536;  // blocks at most

// exp(-|x|) / (1 + exp(-|x|)) below 0 and its complement above: no overflow.
__device__ __forceinline__ float logistic_of(float x) {
  const float e = expf(-fabsf(x));
  return (x < 0.0f ? e : 1.0f) / (1.0f + e);
}

struct Hard {
  __device__ float operator()(float m) const { return m == m ? (m > 0.0f ? 1.0f : 0.0f) : m; }
};
struct HardBackward {
  __device__ float operator()(float m, float dh) const { return dh * logistic_of(m); }
};
struct Logistic {
  float alpha;
  __device__ float operator()(float m) const { return logistic_of(alpha * m); }
};
struct LogisticBackward {
  float alpha;
  __device__ float operator()(float m, float dh) const {
    const float e = expf(-fabsf(alpha * m)), d = 1.0f + e;
    return dh * (alpha * e / (d * d));
  }
};
struct Clip {
  float bound;
  __device__ float operator()(float m) const { return m == m ? fminf(fmaxf(m, -bound), bound) : m; }
};
struct Multiply {
  __device__ float operator()(float a, float b) const { return a * b; }
};
__device__ __forceinline__ float sign_of(float w) {
  return w > 0.0f ? 1.0f : (w < 0.0f ? -1.0f : w);
}
struct MultiplySign {
  __device__ float operator()(float d, float w) const { return d * sign_of(w); }
};

void forward(std::int64_t n, const float* m, float* h, bool hard, float alpha) {
  if (hard)
    map("gate_forward_kernel", n, h, Hard{}, m);
  else
    map("gate_forward_kernel", n, h, Logistic{alpha}, m);
}

void backward(std::int64_t n, const float* m, const float* dh, float* dm, bool hard, float alpha) {
  if (hard)
    map("gate_backward_kernel", n, dm, HardBackward{}, m, dh);
  else
    map("gate_backward_kernel", n, dm, LogisticBackward{alpha}, m, dh);
}

void clip(std::int64_t n, float* m, float bound) {
  map("gate_clip_kernel", n, m, Clip{bound}, static_cast<const float*>(m));
}

__global__ void __launch_bounds__(kThreads)
    gate_weights_forward_kernel(std::int64_t rows, std::int64_t width, const float* w,
                                const float* h, float* y) {
  for (std::int64_t i = blockIdx.x; i < rows; i += gridDim.x) {
    const float factor = h[i];
    for (std::int64_t j = threadIdx.x; j < width; j += kThreads)
      y[i * width + j] = w[i * width + j] * factor;
  }
}

void weights_forward(std::int64_t rows, std::int64_t width, const float* w, const float* h,
                     float* y) {
  if (width == 1) {
    map("gate_weights_forward_kernel", rows, y, Multiply{}, w, h);
    return;
  }
  launch("gate_weights_forward_kernel", gate_weights_forward_kernel, blocks_for(rows, 1, kRows),
         kThreads, 0, rows, width, w, h, y);
}

template <bool Sign>
__global__ void __launch_bounds__(kThreads)
    gate_weights_backward_kernel(std::int64_t rows, std::int64_t width, const float* dy,
                                 const float* w, const float* h, float* dw, float* dh) {
  for (std::int64_t i = blockIdx.x; i < rows; i += gridDim.x) {
    const float factor = h[i];
    double total = 0;
    for (std::int64_t j = threadIdx.x; j < width;) {
      float sum = 0;
      for (int k = 0; k < 64 && j < width; ++k, j += kThreads) {
        const float d = dy[i * width + j], v = w[i * width + j];
        sum = fmaf(d, Sign ? sign_of(v) : v, sum);
        dw[i * width + j] = d * factor;
      }
      total += static_cast<double>(sum);
    }
    total = block_sum<kThreads>(total);
    if (threadIdx.x == 0) dh[i] = static_cast<float>(total);
  }
}

void weights_backward(std::int64_t rows, std::int64_t width, const float* dy, const float* w,
                      const float* h, float* dw, float* dh, bool sign) {
  if (width == 1) {
    if (sign)
      map("gate_weights_backward_kernel", rows, dh, MultiplySign{}, dy, w);
    else
      map("gate_weights_backward_kernel", rows, dh, Multiply{}, dy, w);
    map("gate_weights_backward_kernel", rows, dw, Multiply{}, dy, h);
    return;
  }
  launch("gate_weights_backward_kernel",
         sign ? gate_weights_backward_kernel<true> : gate_weights_backward_kernel<false>,
         blocks_for(rows, 1, kRows), kThreads, 0, rows, width, dy, w, h, dw, dh);
}

__global__ void __launch_bounds__(kThreads)
    gate_penalty_forward_kernel(std::int64_t n, const float* h, float* value, double scale) {
  double sum = 0;
  for (std::int64_t i = threadIdx.x; i < n; i += kThreads) sum += static_cast<double>(h[i]);
  sum = block_sum<kThreads>(sum);
  if (threadIdx.x == 0) *value = static_cast<float>(scale * sum);
}

void penalty_forward(std::int64_t n, const float* h, float* value, double scale) {
  launch("gate_penalty_forward_kernel", gate_penalty_forward_kernel, 1, kThreads, 0, n, h, value,
         scale);
}

__global__ void __launch_bounds__(kThreads)
    gate_penalty_backward_kernel(std::int64_t n, const float* dvalue, float* dh, double scale) {
  const float d = static_cast<float>(scale * static_cast<double>(*dvalue));
  const std::int64_t step = std::int64_t{gridDim.x} * kThreads;
  for (std::int64_t i = std::int64_t{blockIdx.x} * kThreads + threadIdx.x; i < n; i += step)
    dh[i] = d;
}

void penalty_backward(std::int64_t n, const float* dvalue, float* dh, double scale) {
  launch("gate_penalty_backward_kernel", gate_penalty_backward_kernel, blocks_for(n, kThreads, 528),
         kThreads, 0, n, dvalue, dh, scale);
}

}  // namespace
}  // namespace sentei::cuda
SENTEI_CUDA_TABLE(GateKernels, gate_kernels, forward, backward, clip, weights_forward,
                  weights_backward, penalty_forward, penalty_backward)
