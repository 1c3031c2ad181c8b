// x[b,h,w,c] = pixel * scale[c] + shift[c], the pixel of a data set that stays on the device.
// Four elements of one image a thread (one where an image's size is no multiple of four), written
// by 16-byte stores; an image's bytes are read by neighbouring threads, so each sector comes once.
// 4 bytes written and 1 (or 4) read per element. Rounded twice, as the CPU does.
#include "cuda/device/elementwise.cuh"
#include "cuda/table.cuh"
#include "kernels/gather_batch.hpp"

namespace sentei::cuda {
namespace {

template <class T, int Vector>
__global__ void __launch_bounds__(256)
    gather_batch_forward_kernel(std::int64_t n, std::int64_t threads, unsigned per_image, int h,
                                int w, int c, const T* images, const std::int32_t* plan,
                                const float* scale, const float* shift, float* x) {
  const std::int64_t step = std::int64_t{gridDim.x} * blockDim.x;
  for (std::int64_t t = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; t < threads;
       t += step) {
    const std::int64_t b = t / per_image;
    const unsigned first = static_cast<unsigned>(t - b * per_image) * Vector;
    const std::int32_t* const p = plan + 4 * b;
    const std::int64_t number = p[0], rows = p[1], columns = p[2];
    const bool mirrored = p[3] != 0, known = number >= 0 && number < n;
    const std::int64_t image_size = std::int64_t{h} * w * c;
    const T* const image = images + (known ? number : 0) * image_size;
    float out[Vector];
    for (int v = 0; v < Vector; ++v) {
      const unsigned e = first + v, pixel = e / c, k = e - pixel * c;
      const unsigned row = pixel / w, col = pixel - row * w;
      const std::int64_t y = row + rows, at = (mirrored ? w - 1 - col : col) + columns;
      const bool in = y >= 0 && y < h && at >= 0 && at < w;
      const float value = in ? static_cast<float>(image[(y * w + at) * c + k]) : 0.0f;
      const float scaled = multiply_then_add(value, scale[k], shift[k]);
      out[v] = known ? scaled : __uint_as_float(0x7fc00000u);
    }
    float* const to = x + b * image_size + first;
    if constexpr (Vector == 4)
      *reinterpret_cast<float4*>(to) = make_float4(out[0], out[1], out[2], out[3]);
    else
      *to = out[0];
  }
}

template <class T>
void forward(std::int64_t n, std::int64_t b, int h, int w, int c, const T* images,
             const std::int32_t* plan, const float* scale, const float* shift, float* x) {
  const std::int64_t size = std::int64_t{h} * w * c;
  const int vector = size % 4 == 0 && aligned16(x) ? 4 : 1;
  const std::int64_t threads = b * (size / vector);
  launch("gather_batch_forward_kernel",
         vector == 4 ? gather_batch_forward_kernel<T, 4> : gather_batch_forward_kernel<T, 1>,
         blocks_for(threads, 256, 1 << 16), 256, 0, n, threads,
         static_cast<unsigned>(size / vector), h, w, c, images, plan, scale, shift, x);
}

}  // namespace
}  // namespace sentei::cuda
SENTEI_CUDA_TABLE(GatherBatchKernels, gather_batch_kernels, forward<std::uint8_t>, forward<float>)
