#include "cpu/bf16.hpp"

#include "cpu/bf16_plan.hpp"
#include "cpu/bf16_units.hpp"
#include "cpu/gemm_types.hpp"
#include "cpu/isa.hpp"
#include "kernels/conv2d.hpp"
#include "kernels/linear.hpp"

namespace sentei::cpu {

SENTEI_PICK_TIER(Bf16RoundKernels, bf16_round_kernels)

namespace {

using std::int64_t;
using std::size_t;

bool empty(const Conv2dGeometry& g) { return g.N == 0 || g.C == 0 || g.K == 0 || g.P * g.Q == 0; }

// Nothing to multiply, or no unit for it: float32 kernels on rounded copies.
bool portable(const Conv2dGeometry& g) { return empty(g) || bf16_unit() == Bf16Unit::portable; }

bool is_linear(const Conv2dGeometry& g) {
  return g.H * g.W == 1 && g.R * g.S == 1 && g.P * g.Q == 1;
}
kernels::LinearSizes sizes(const Conv2dGeometry& g) { return {g.N, g.C, g.K}; }

int64_t x_size(const Conv2dGeometry& g) { return padded(g.N * g.H * g.W * g.C); }
int64_t y_size(const Conv2dGeometry& g) { return padded(g.N * g.P * g.Q * g.K); }
int64_t w_size(const Conv2dGeometry& g) { return padded(g.K * g.R * g.S * g.C); }
size_t floats(int64_t n) { return static_cast<size_t>(n) * sizeof(float); }

// Two operands, rounded, at the start of the workspace; the rest is for the kernel behind.
struct Rounded {
  float *a, *b;
  void* rest;
  Rounded(const float* from_a, int64_t a_size, const float* from_b, int64_t b_size, void* workspace)
      : a(static_cast<float*>(workspace)), b(a + padded(a_size)), rest(b + padded(b_size)) {
    bf16_round_kernels().round(a_size, from_a, a);
    bf16_round_kernels().round(b_size, from_b, b);
  }
};

// dy of the filters `rows` alone.
const float* listed(const Conv2dGeometry& g, const float* dy, const std::int32_t* rows,
                    int64_t count, float* to) {
  const int64_t pixels = g.N * g.P * g.Q;
  for (int64_t i = 0; i < pixels; ++i)
    for (int64_t k = 0; k < count; ++k) to[i * count + k] = dy[i * g.K + rows[k]];
  return to;
}

// Every product by itself: no kernel that transforms its operands first.
constexpr Precision kPlain = Precision::precise;

}  // namespace

void bf16_round(int64_t n, const float* from, float* to) {
  bf16_round_kernels().round(n, from, to);
}

size_t bf16_forward_workspace(const Conv2dGeometry& g) {
  if (!portable(g)) return bf16_forward_plan(g).bytes;
  return floats(x_size(g) + w_size(g)) + (is_linear(g)
                                              ? linear_kernels().forward_workspace(sizes(g), kPlain)
                                              : conv2d_kernels().forward_workspace(g, kPlain));
}

void bf16_forward(const Conv2dGeometry& g, const float* x, const float* w, const float* bias,
                  bool relu, float* y, void* workspace) {
  if (!portable(g)) {
    const Bf16SumPlan plan = bf16_forward_plan(g);
    bf16_tiles().sum({&plan, x, w, bias, relu, y, static_cast<std::byte*>(workspace), nullptr});
    return;
  }
  const Rounded in(x, g.N * g.H * g.W * g.C, w, g.K * g.R * g.S * g.C, workspace);
  if (is_linear(g)) {
    linear_kernels().forward(sizes(g), kPlain, in.a, in.b, bias, relu, y, in.rest);
  } else {
    conv2d_kernels().forward(g, kPlain, in.a, in.b, bias, relu, y, in.rest);
  }
}

size_t bf16_packed_bytes(const Conv2dGeometry& g) {
  return portable(g) ? 0 : bf16_forward_plan(g, true).filter_bytes;
}

void bf16_pack(const Conv2dGeometry& g, const float* w, void* packed) {
  bf16_tiles().pack(bf16_forward_plan(g, true), w, static_cast<std::byte*>(packed));
}

size_t bf16_packed_workspace(const Conv2dGeometry& g) { return bf16_forward_plan(g, true).bytes; }

void bf16_packed_forward(const Conv2dGeometry& g, const float* x, const void* packed,
                         const float* bias, bool relu, float* y, void* workspace) {
  const Bf16SumPlan plan = bf16_forward_plan(g, true);
  bf16_tiles().sum({&plan, x, nullptr, bias, relu, y, static_cast<std::byte*>(workspace),
                    static_cast<const std::byte*>(packed)});
}

size_t bf16_backward_input_workspace(const Conv2dGeometry& g) {
  if (!portable(g)) return bf16_backward_input_plan(g).bytes;
  return floats(y_size(g) + w_size(g)) +
         (is_linear(g) ? linear_kernels().backward_input_workspace(sizes(g), kPlain)
                       : conv2d_kernels().backward_input_workspace(g, kPlain));
}

void bf16_backward_input(const Conv2dGeometry& g, const float* dy, const float* w, float* dx,
                         void* workspace) {
  if (!portable(g)) {
    const Bf16SumPlan plan = bf16_backward_input_plan(g);
    bf16_tiles().sum(
        {&plan, dy, w, nullptr, false, dx, static_cast<std::byte*>(workspace), nullptr});
    return;
  }
  const Rounded in(dy, g.N * g.P * g.Q * g.K, w, g.K * g.R * g.S * g.C, workspace);
  if (is_linear(g)) {
    linear_kernels().backward_input(sizes(g), kPlain, in.a, in.b, dx, in.rest);
  } else {
    conv2d_kernels().backward_input(g, kPlain, in.a, in.b, dx, in.rest);
  }
}

size_t bf16_backward_weight_workspace(const Conv2dGeometry& g) {
  if (!portable(g)) return bf16_weight_plan(g).bytes;
  return floats(x_size(g) + y_size(g)) +
         (is_linear(g) ? linear_kernels().backward_weight_workspace(sizes(g), kPlain)
                       : conv2d_kernels().backward_weight_workspace(g, kPlain));
}

void bf16_backward_weight(const Conv2dGeometry& g, const float* x, const float* dy, float* dw,
                          const std::int32_t* rows, int64_t count, void* workspace) {
  if (!portable(g)) {
    Conv2dGeometry some = g;
    if (rows) some.K = count;
    const Bf16WeightPlan plan = bf16_weight_plan(some);
    bf16_tiles().weight({&plan, x, dy, dw, rows, g.K, static_cast<std::byte*>(workspace)});
    return;
  }
  Conv2dGeometry some = g;
  if (rows) {
    some.K = count;
    dy = listed(g, dy, rows, count, static_cast<float*>(workspace) + x_size(g));
  }
  const Rounded in(x, g.N * g.H * g.W * g.C, dy, g.N * g.P * g.Q * some.K, workspace);
  if (is_linear(g)) {
    linear_kernels().backward_weight(sizes(some), kPlain, in.a, in.b, dw, nullptr, in.rest);
  } else {
    conv2d_kernels().backward_weight(some, kPlain, in.a, in.b, dw, in.rest);
  }
}

}  // namespace sentei::cpu
