// Dropout whose mask is drawn anew wherever it is wanted, with the CPU's numbers: element i is word
// i mod 4 of Philox counter i / 4 (core/rng.hpp). A thread draws one counter for four elements;
// seed and step come from device memory. 8 bytes moved and about 25 instructions of Philox per
// element.
#include "core/rng.hpp"
#include "cuda/device/elementwise.cuh"
#include "cuda/table.cuh"
#include "kernels/dropout.hpp"

namespace sentei::cuda {
namespace {

constexpr int kThreads = 256;

// y = x factor where kept, else x 0: what is not finite shows. Without x, y = factor or 0.
template <bool Wide, bool Mask>
__global__ void __launch_bounds__(kThreads)
    dropout_forward_kernel(std::int64_t n, const float* x, const std::int64_t* rng, float* y,
                           std::uint32_t stream, std::uint32_t threshold, float factor) {
  const std::uint64_t seed = static_cast<std::uint64_t>(rng[0]);
  const std::uint32_t step = static_cast<std::uint32_t>(rng[1]);
  const std::int64_t quads = (n + 3) / 4, whole = n / 4;
  for (std::int64_t q = std::int64_t{blockIdx.x} * kThreads + threadIdx.x; q < quads;
       q += std::int64_t{gridDim.x} * kThreads) {
    const Philox4 words = philox(seed, stream, step, static_cast<std::uint64_t>(q));
    float f[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) f[i] = words.v[i] >> 8 < threshold ? factor : 0.0f;
    if (Wide && q < whole) {
      if constexpr (!Mask) {
        const float4 v = reinterpret_cast<const float4*>(x)[q];
        f[0] *= v.x;
        f[1] *= v.y;
        f[2] *= v.z;
        f[3] *= v.w;
      }
      reinterpret_cast<float4*>(y)[q] = make_float4(f[0], f[1], f[2], f[3]);
    } else {
#pragma unroll
      for (int i = 0; i < 4; ++i)
        if (4 * q + i < n) y[4 * q + i] = Mask ? f[i] : x[4 * q + i] * f[i];
    }
  }
}

template <bool Mask>
void run(const char* name, std::int64_t n, const float* x, const std::int64_t* rng, float* y,
         std::uint32_t stream, std::uint32_t threshold, float factor) {
  const bool wide = aligned16(y) && aligned16(x);
  launch(name, wide ? dropout_forward_kernel<true, Mask> : dropout_forward_kernel<false, Mask>,
         blocks_for(ceil_div(n, 4), kThreads, 8192), kThreads, 0, n, x, rng, y, stream, threshold,
         factor);
}

void forward(std::int64_t n, const float* x, const std::int64_t* rng, float* y,
             std::uint32_t stream, std::uint32_t threshold, float factor) {
  run<false>("dropout_forward_kernel", n, x, rng, y, stream, threshold, factor);
}

void mask(std::int64_t n, const std::int64_t* rng, float* out, std::uint32_t stream,
          std::uint32_t threshold) {
  run<true>("dropout_mask_kernel", n, nullptr, rng, out, stream, threshold, 1.0f);
}

struct Scale {
  float factor;
  __device__ float operator()(float x) const { return x * factor; }
};
struct MaskMultiply {
  float factor;
  __device__ float operator()(float x, float mask) const { return x * (mask * factor); }
};

void scale(std::int64_t n, const float* x, float* y, float factor) {
  map("scale_forward_kernel", n, y, Scale{factor}, x);
}

void mask_multiply(std::int64_t n, const float* x, const float* mask, float* y, float factor) {
  map("mask_multiply_forward_kernel", n, y, MaskMultiply{factor}, x, mask);
}

}  // namespace
}  // namespace sentei::cuda
SENTEI_CUDA_TABLE(DropoutKernels, dropout_kernels, forward, mask, scale, mask_multiply)
