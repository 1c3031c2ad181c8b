// y = x where x > 0, else a x. Backward in one pass: dx, and per task of 16 Ki elements the sum of
// x dy over x <= 0, in floats for 64 vectors at a time, then in doubles, added up in order.
#include "kernels/prelu.hpp"

#include "cpu/elementwise.hpp"
#include "cpu/vmath.hpp"

namespace sentei::cpu::SENTEI_ISA {

using namespace sentei::kernels;
namespace {

constexpr std::int64_t kBlock = 16384;  // elements of a task

std::int64_t partials(std::int64_t n) { return ceil_div(n, kBlock); }

void forward(std::int64_t n, const float* x, const float* a, float* y) {
  const vf slope = splat(*a);
  map_elements(n, x, y, [=](vf v) { return select(v > splat(0.0f), v, slope * v); });
}

void backward(std::int64_t n, const float* x, const float* a, const float* dy, float* dx, float* da,
              double* partial) {
  const vf slope = splat(*a);
  const vf zero = splat(0.0f);
  const std::int64_t tasks = partials(n);
  parallel_for(tasks, [=](std::int64_t task) {
    const std::int64_t end = imin(n, (task + 1) * kBlock);
    std::int64_t i = task * kBlock;
    double total = 0;
    while (i < end) {
      const std::int64_t stop = imin(end, i + 64 * kLanes);
      vf sum{};
      for (; i + kLanes <= stop; i += kLanes) {
        const vf v = load(x + i), d = load(dy + i);
        const vi up = v > zero;
        sum += select(up, zero, v * d);
        store(dx + i, select(up, d, slope * d));
      }
      if (i < stop) {
        const int m = static_cast<int>(stop - i);
        const vf v = load_n(x + i, m), d = load_n(dy + i, m);
        const vi up = v > zero;
        sum += select(up, zero, v * d);
        store_n(dx + i, select(up, d, slope * d), m);
        i = stop;
      }
      total += static_cast<double>(lane_sum(sum));
    }
    partial[task] = total;
  });
  double total = 0;
  for (std::int64_t t = 0; t < tasks; ++t) total += partial[t];
  *da = static_cast<float>(total);
}

}  // namespace

extern const PreluKernels prelu_kernels;
const PreluKernels prelu_kernels = {partials, forward, backward};

}  // namespace sentei::cpu::SENTEI_ISA
