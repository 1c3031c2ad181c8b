// y = exp(x - max x) / sum exp(x - max x) per row; dx = y (dy - sum y dy). A task takes rows of
// about 4 Ki elements in all; a row is summed by lanes, then across them.
#include "kernels/softmax.hpp"

#include "core/parallel.hpp"
#include "cpu/vmath.hpp"

namespace sentei::cpu::SENTEI_ISA {

using namespace sentei::kernels;
namespace {

SENTEI_INLINE std::int64_t rows_per_task(std::int64_t k) { return imax(1, 4096 / imax(1, k)); }

SENTEI_INLINE float lane_max(vf v) {
  float t[kLanes];
  store(t, v);
  for (int step = kLanes / 2; step > 0; step /= 2)
    for (int i = 0; i < step; ++i) t[i] = t[i] > t[i + step] ? t[i] : t[i + step];
  return t[0];
}

// All ones in the first n lanes.
SENTEI_INLINE vi first_lanes(int n) {
  vi lane;
  for (int i = 0; i < kLanes; ++i) lane[i] = i;
  return lane < isplat(n);
}

SENTEI_INLINE void forward_row(std::int64_t k, const float* x, float* y) {
  const std::int64_t whole = k / kLanes * kLanes;
  const int rest = static_cast<int>(k - whole);
  vf top = splat(-kInf);
  for (std::int64_t i = 0; i < whole; i += kLanes) top = vmax(load(x + i), top);
  if (rest) top = vmax(select(first_lanes(rest), load_n(x + whole, rest), splat(-kInf)), top);
  const vf shift = splat(lane_max(top));
  vf sum{};
  for (std::int64_t i = 0; i < whole; i += kLanes) {
    const vf e = vexp(load(x + i) - shift);
    store(y + i, e);
    sum += e;
  }
  vf last{};
  if (rest) {
    last = select(first_lanes(rest), vexp(load_n(x + whole, rest) - shift), splat(0.0f));
    sum += last;
  }
  const vf scale = splat(1.0f / lane_sum(sum));  // the largest term is 1: never 0
  for (std::int64_t i = 0; i < whole; i += kLanes) store(y + i, load(y + i) * scale);
  if (rest) store_n(y + whole, last * scale, rest);
}

void forward(std::int64_t rows, std::int64_t k, const float* x, float* y) {
  const std::int64_t step = rows_per_task(k);
  parallel_for(ceil_div(rows, step), [=](std::int64_t task) {
    for (std::int64_t r = task * step; r < imin(rows, (task + 1) * step); ++r)
      forward_row(k, x + r * k, y + r * k);
  });
}

SENTEI_INLINE void backward_row(std::int64_t k, const float* y, const float* dy, float* dx) {
  const std::int64_t whole = k / kLanes * kLanes;
  const int rest = static_cast<int>(k - whole);
  vf sum{};
  for (std::int64_t i = 0; i < whole; i += kLanes) sum = fma(load(y + i), load(dy + i), sum);
  if (rest) sum = fma(load_n(y + whole, rest), load_n(dy + whole, rest), sum);
  const vf mean = splat(lane_sum(sum));
  for (std::int64_t i = 0; i < whole; i += kLanes)
    store(dx + i, load(y + i) * (load(dy + i) - mean));
  if (rest) store_n(dx + whole, load_n(y + whole, rest) * (load_n(dy + whole, rest) - mean), rest);
}

void backward(std::int64_t rows, std::int64_t k, const float* y, const float* dy, float* dx) {
  const std::int64_t step = rows_per_task(k);
  parallel_for(ceil_div(rows, step), [=](std::int64_t task) {
    for (std::int64_t r = task * step; r < imin(rows, (task + 1) * step); ++r)
      backward_row(k, y + r * k, dy + r * k, dx + r * k);
  });
}

}  // namespace

extern const SoftmaxKernels softmax_kernels;
const SoftmaxKernels softmax_kernels = {forward, backward};

}  // namespace sentei::cpu::SENTEI_ISA
