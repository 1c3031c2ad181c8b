// Compiled once and without fused multiply-adds: the same bits as NumPy's product and sum.
#include "kernels/gather_batch.hpp"

#include <limits>

#include "core/parallel.hpp"

namespace sentei::cpu {
namespace {

template <class T>
void gather(std::int64_t n, std::int64_t b, int h, int w, int c, const T* images,
            const std::int32_t* plan, const float* scale, const float* shift, float* x) {
  const std::int64_t image_size = std::int64_t{h} * w * c;
  parallel_for(b, [=](std::int64_t i) {
    const std::int32_t* const p = plan + 4 * i;
    float* out = x + i * image_size;
    const bool known = p[0] >= 0 && p[0] < n;
    const T* const image = images + (known ? p[0] : 0) * image_size;
    for (int row = 0; row < h; ++row) {
      const std::int64_t from_row = std::int64_t{row} + p[1];
      const bool inside = from_row >= 0 && from_row < h;
      for (int col = 0; col < w; ++col) {
        const std::int64_t from = std::int64_t{p[3] ? w - 1 - col : col} + p[2];
        const bool in = inside && from >= 0 && from < w;
        const T* const pixel = image + (in ? (from_row * w + from) * c : 0);
        for (int k = 0; k < c; ++k) {
          const float product = (in ? static_cast<float>(pixel[k]) : 0.0f) * scale[k];
          *out++ = known ? product + shift[k] : std::numeric_limits<float>::quiet_NaN();
        }
      }
    }
  });
}

}  // namespace

const kernels::GatherBatchKernels& gather_batch_kernels() {
  static constexpr kernels::GatherBatchKernels table = {gather<std::uint8_t>, gather<float>};
  return table;
}

}  // namespace sentei::cpu
