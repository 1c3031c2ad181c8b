// Activations and their derivatives, elementwise: 8 bytes moved per element forward, 12 backward.
// At 0 every one takes its x <= 0 branch; NaN gives NaN.
#include "kernels/activations.hpp"

#include "cpu/elementwise.hpp"
#include "cpu/vmath.hpp"

namespace sentei::cpu::SENTEI_ISA {

using namespace sentei::kernels;
namespace {

void relu(std::int64_t n, const float* x, float* y) {
  map_elements(n, x, y, [](vf v) { return vmax(splat(0.0f), v); });
}
void relu_backward(std::int64_t n, const float* y, const float* dy, float* dx) {
  map_pairs(n, y, dy, dx, [](vf v, vf d) { return select(v <= splat(0.0f), splat(0.0f), d); });
}

void leaky_relu(std::int64_t n, const float* x, float* y, float alpha) {
  map_elements(n, x, y, [=](vf v) { return select(v > splat(0.0f), v, splat(alpha) * v); });
}
void leaky_relu_backward(std::int64_t n, const float* y, const float* dy, float* dx, float alpha) {
  map_pairs(n, y, dy, dx, [=](vf v, vf d) { return select(v > splat(0.0f), d, splat(alpha) * d); });
}

void elu(std::int64_t n, const float* x, float* y, float alpha) {
  map_elements(n, x, y, [=](vf v) { return select(v > splat(0.0f), v, splat(alpha) * vexpm1(v)); });
}
void elu_backward(std::int64_t n, const float* y, const float* dy, float* dx, float alpha) {
  // alpha exp(x) = y + alpha
  map_pairs(n, y, dy, dx,
            [=](vf v, vf d) { return select(v > splat(0.0f), d, d * (v + splat(alpha))); });
}

void logistic(std::int64_t n, const float* x, float* y) {
  map_elements(n, x, y, [](vf v) { return vlogistic(v); });
}
void logistic_backward(std::int64_t n, const float* y, const float* dy, float* dx) {
  map_pairs(n, y, dy, dx, [](vf v, vf d) { return d * (v * (splat(1.0f) - v)); });
}

void tanh(std::int64_t n, const float* x, float* y) {
  map_elements(n, x, y, [](vf v) { return vtanh(v); });
}
void tanh_backward(std::int64_t n, const float* y, const float* dy, float* dx) {
  // (1 - y)(1 + y) keeps its figures where |y| is close to 1, which 1 - y y does not.
  map_pairs(n, y, dy, dx, [](vf v, vf d) { return d * ((splat(1.0f) - v) * (splat(1.0f) + v)); });
}

void softplus(std::int64_t n, const float* x, float* y) {
  map_elements(n, x, y, [](vf v) { return vsoftplus(v); });
}
void softplus_backward(std::int64_t n, const float* x, const float* dy, float* dx) {
  map_pairs(n, x, dy, dx, [](vf v, vf d) { return d * vlogistic(v); });
}

void clip(std::int64_t n, const float* x, float* y, float low, float high) {
  // vmin and vmax give their second argument where either is NaN.
  map_elements(n, x, y, [=](vf v) { return vmin(splat(high), vmax(splat(low), v)); });
}
void clip_backward(std::int64_t n, const float* y, const float* dy, float* dx, float low,
                   float high) {
  map_pairs(n, y, dy, dx, [=](vf v, vf d) {
    return select(v <= splat(low), splat(0.0f), select(v >= splat(high), splat(0.0f), d));
  });
}

void step(std::int64_t n, const float* x, float* y) {
  map_elements(n, x, y, [](vf v) {
    return select(v == v, select(v > splat(0.0f), splat(1.0f), splat(0.0f)), v);
  });
}

}  // namespace

extern const ActivationKernels activation_kernels;
const ActivationKernels activation_kernels = {
    .relu = relu,
    .logistic = logistic,
    .tanh = tanh,
    .softplus = softplus,
    .step = step,
    .leaky_relu = leaky_relu,
    .elu = elu,
    .relu_backward = relu_backward,
    .logistic_backward = logistic_backward,
    .tanh_backward = tanh_backward,
    .softplus_backward = softplus_backward,
    .leaky_relu_backward = leaky_relu_backward,
    .elu_backward = elu_backward,
    .clip = clip,
    .clip_backward = clip_backward,
};

}  // namespace sentei::cpu::SENTEI_ISA
