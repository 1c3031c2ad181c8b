// Average pooling, vectors along C; the global average is the window that covers the image. Sums
// are two-level, 32 taps at a time in row-major order, then divided once, which rounds better than
// a product with 1 / area. 4 bytes per input element and 4 per output.
#include "kernels/avg_pool2d.hpp"

#include "core/parallel.hpp"
#include "cpu/pool2d_loops.hpp"
#include "cpu/simd.hpp"

namespace sentei::cpu::SENTEI_ISA {

using namespace sentei::kernels;
namespace {

SENTEI_INLINE vf window_sum(const Pool2d& g, const float* x, std::int64_t c, auto tag) {
  vf total{}, part{};
  int taps = 0;
  for (std::int64_t r = 0; r < g.kh; ++r)
    for (std::int64_t s = 0; s < g.kw; ++s) {
      part += ld(x + (r * g.W + s) * g.C + c, tag);
      if (++taps == 32) {
        total += part;
        part = vf{};
        taps = 0;
      }
    }
  return total + part;
}

void forward(const Pool2d& g, const float* x, float* y) {
  const vf area = vf{} + static_cast<float>(g.kh * g.kw);
  over_rows(g.N * g.P, g.Q * g.C * g.kh * g.kw, [=](std::int64_t row) {
    const std::int64_t n = row / g.P, p = row % g.P;
    const float* image = x + (n * g.H + p * g.sh) * g.W * g.C;
    for (std::int64_t q = 0; q < g.Q; ++q) {
      const float* corner = image + q * g.sw * g.C;
      float* out = y + (row * g.Q + q) * g.C;
      over_channels(g.C, [&](std::int64_t c, auto tag) {
        st(out + c, window_sum(g, corner, c, tag) / area, tag);
      });
    }
  });
}

void backward(const Pool2d& g, const float* dy, float* dx) {
  const vf area = vf{} + static_cast<float>(g.kh * g.kw);
  over_rows(g.N * g.H, g.W * g.C, [=](std::int64_t row) {
    const std::int64_t n = row / g.H, h = row % g.H;
    const float* d = dy + n * g.P * g.Q * g.C;
    const Cover p = cover(h, g.sh, 0, g.kh, g.P);
    Cover q = cover(0, g.sw, 0, g.kw, g.Q);
    for (std::int64_t w = 0; w < g.W; ++w, advance(q, w - 1, g.sw, 0, g.kw, g.Q)) {
      float* out = dx + (row * g.W + w) * g.C;
      over_channels(g.C, [&](std::int64_t c, auto tag) {
        vf sum{};
        for (std::int64_t i = p.begin; i < p.end; ++i)
          for (std::int64_t j = q.begin; j < q.end; ++j)
            sum += ld(d + (i * g.Q + j) * g.C + c, tag);
        st(out + c, sum / area, tag);
      });
    }
  });
}

}  // namespace

extern const AvgPool2dKernels avg_pool2d_kernels;
const AvgPool2dKernels avg_pool2d_kernels = {forward, backward};

}  // namespace sentei::cpu::SENTEI_ISA
