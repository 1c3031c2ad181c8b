// Gates h(m) of filters or weights: y[i, j] = w[i, j] h[i], 8 bytes per weight; backward
// dw = dy h and dh[i] = sum_j dy w (or dy sign(w)) in one pass, 12. A row's sum: floats over 64
// vectors, then doubles, in order. The penalty adds all of h in the same way.
#include "kernels/gate.hpp"

#include "cpu/elementwise.hpp"
#include "cpu/vmath.hpp"

namespace sentei::cpu::SENTEI_ISA {

using namespace sentei::kernels;
namespace {

void forward(std::int64_t n, const float* m, float* h, bool hard, float alpha) {
  if (hard)
    map_elements(n, m, h, [](vf v) {
      return select(v == v, select(v > splat(0.0f), splat(1.0f), splat(0.0f)), v);
    });
  else
    map_elements(n, m, h, [=](vf v) { return vlogistic(splat(alpha) * v); });
}

// alpha e / (1 + e)^2 with e = exp(-|alpha m|) keeps its figures where h is close to 1.
SENTEI_INLINE vf logistic_slope(vf m, float alpha) {
  const vf e = vexp(float_of(bits_of(splat(alpha) * m) | static_cast<std::int32_t>(0x80000000)));
  const vf d = splat(1.0f) + e;
  return splat(alpha) * e / (d * d);
}

void backward(std::int64_t n, const float* m, const float* dh, float* dm, bool hard, float alpha) {
  if (hard)
    map_pairs(n, m, dh, dm, [](vf v, vf d) { return d * vlogistic(v); });
  else
    map_pairs(n, m, dh, dm, [=](vf v, vf d) { return d * logistic_slope(v, alpha); });
}

void clip(std::int64_t n, float* m, float bound) {
  map_elements(n, m, m, [=](vf v) { return clamp(v, -bound, bound); });
}

// Rows of a task: about 16 Ki elements.
SENTEI_INLINE std::int64_t rows_of_task(std::int64_t width) {
  return imax(1, kElementBlock / imax(1, width));
}

void weights_forward(std::int64_t rows, std::int64_t width, const float* w, const float* h,
                     float* y) {
  if (width == 1) {
    map_pairs(rows, w, h, y, [](vf a, vf b) { return a * b; });
    return;
  }
  const std::int64_t per = rows_of_task(width);
  parallel_for(ceil_div(rows, per), [=](std::int64_t task) {
    for (std::int64_t i = task * per; i < imin(rows, (task + 1) * per); ++i) {
      const vf factor = splat(h[i]);
      const float* const from = w + i * width;
      float* const to = y + i * width;
      std::int64_t j = 0;
      for (; j + kLanes <= width; j += kLanes) store(to + j, load(from + j) * factor);
      if (j < width) {
        const int m = static_cast<int>(width - j);
        store_n(to + j, load_n(from + j, m) * factor, m);
      }
    }
  });
}

// -1, 0 or 1; NaN stays.
SENTEI_INLINE vf sign_of(vf w) {
  return select(w > splat(0.0f), splat(1.0f), select(w < splat(0.0f), splat(-1.0f), w));
}

template <bool Sign>
SENTEI_INLINE double row_backward(std::int64_t width, const float* dy, const float* w, vf factor,
                                  float* dw) {
  double total = 0;
  for (std::int64_t j = 0; j < width;) {
    const std::int64_t stop = imin(width, j + 64 * kLanes);
    vf sum{};
    for (; j + kLanes <= stop; j += kLanes) {
      const vf d = load(dy + j), v = load(w + j);
      sum = fma(d, Sign ? sign_of(v) : v, sum);
      store(dw + j, d * factor);
    }
    if (j < stop) {
      const int m = static_cast<int>(stop - j);
      const vf d = load_n(dy + j, m), v = load_n(w + j, m);
      sum = fma(d, Sign ? sign_of(v) : v, sum);
      store_n(dw + j, d * factor, m);
      j = stop;
    }
    total += static_cast<double>(lane_sum(sum));
  }
  return total;
}

void weights_backward(std::int64_t rows, std::int64_t width, const float* dy, const float* w,
                      const float* h, float* dw, float* dh, bool sign) {
  if (width == 1) {
    if (sign)
      map_pairs(rows, dy, w, dh, [](vf d, vf v) { return d * sign_of(v); });
    else
      map_pairs(rows, dy, w, dh, [](vf d, vf v) { return d * v; });
    map_pairs(rows, dy, h, dw, [](vf d, vf g) { return d * g; });
    return;
  }
  const std::int64_t per = rows_of_task(width);
  parallel_for(ceil_div(rows, per), [=](std::int64_t task) {
    for (std::int64_t i = task * per; i < imin(rows, (task + 1) * per); ++i) {
      const std::int64_t at = i * width;
      const vf factor = splat(h[i]);
      const double sum = sign ? row_backward<true>(width, dy + at, w + at, factor, dw + at)
                              : row_backward<false>(width, dy + at, w + at, factor, dw + at);
      dh[i] = static_cast<float>(sum);
    }
  });
}

void penalty_forward(std::int64_t n, const float* h, float* value, double scale) {
  double total = 0;
  for (std::int64_t i = 0; i < n;) {
    const std::int64_t stop = imin(n, i + 64 * kLanes);
    vf sum{};
    for (; i + kLanes <= stop; i += kLanes) sum += load(h + i);
    if (i < stop) sum += load_n(h + i, static_cast<int>(stop - i));
    i = stop;
    total += static_cast<double>(lane_sum(sum));
  }
  *value = static_cast<float>(scale * total);
}

void penalty_backward(std::int64_t n, const float* dvalue, float* dh, double scale) {
  const vf d = splat(static_cast<float>(scale * static_cast<double>(*dvalue)));
  std::int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) store(dh + i, d);
  if (i < n) store_n(dh + i, d, static_cast<int>(n - i));
}

}  // namespace

extern const GateKernels gate_kernels;
const GateKernels gate_kernels = {
    forward, backward, clip, weights_forward, weights_backward, penalty_forward, penalty_backward};

}  // namespace sentei::cpu::SENTEI_ISA
