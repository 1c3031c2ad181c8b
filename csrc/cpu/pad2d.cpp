// A border around images, or their middle: copies of whole rows, 8 bytes per element kept.
#include "kernels/pad2d.hpp"

#include <algorithm>

#include "cpu/pool2d_loops.hpp"

namespace sentei::cpu::SENTEI_ISA {

using namespace sentei::kernels;
namespace {

void shift(const Pad2d& g, const float* x, float* y, float fill) {
  // Columns [begin, end) of y lie within x.
  const std::int64_t begin = imin(g.Q, imax(0, g.left));
  const std::int64_t end = imax(begin, imin(g.Q, g.W + g.left));
  over_rows(g.N * g.P, g.Q * g.C, [=](std::int64_t row) {
    const std::int64_t n = row / g.P, h = row % g.P - g.top;
    float* to = y + row * g.Q * g.C;
    if (h < 0 || h >= g.H) {
      std::fill_n(to, g.Q * g.C, fill);
      return;
    }
    const float* from = x + ((n * g.H + h) * g.W + begin - g.left) * g.C;
    std::fill_n(to, begin * g.C, fill);
    std::copy_n(from, (end - begin) * g.C, to + begin * g.C);
    std::fill_n(to + end * g.C, (g.Q - end) * g.C, fill);
  });
}

}  // namespace

extern const Pad2dKernels pad2d_kernels;
const Pad2dKernels pad2d_kernels = {shift};

}  // namespace sentei::cpu::SENTEI_ISA
