// Activations and their derivatives, elementwise: 8 bytes moved per element forward, 12 backward.
// At 0 every one takes its x <= 0 branch; NaN gives NaN. The functions of CUDA's library to a few
// units in the last place, not the fast intrinsics: 20 to 40 instructions per element hide behind
// the memory.
#include "cuda/device/elementwise.cuh"
#include "cuda/table.cuh"
#include "kernels/activations.hpp"

namespace sentei::cuda {
namespace {

// 1 / (1 + exp(-x)), from exp(-|x|), which cannot overflow.
__device__ __forceinline__ float logistic_of(float x) {
  const float e = expf(-fabsf(x));
  return (x < 0.0f ? e : 1.0f) / (1.0f + e);
}

struct Relu {
  __device__ float operator()(float x) const { return x < 0.0f ? 0.0f : x; }
};
struct ReluBackward {
  __device__ float operator()(float y, float dy) const { return y <= 0.0f ? 0.0f : dy; }
};

struct LeakyRelu {
  float alpha;
  __device__ float operator()(float x) const { return x > 0.0f ? x : alpha * x; }
};
struct LeakyReluBackward {
  float alpha;
  __device__ float operator()(float y, float dy) const { return y > 0.0f ? dy : alpha * dy; }
};

struct Elu {
  float alpha;
  __device__ float operator()(float x) const { return x > 0.0f ? x : alpha * expm1f(x); }
};
struct EluBackward {  // alpha exp(x) = y + alpha
  float alpha;
  __device__ float operator()(float y, float dy) const { return y > 0.0f ? dy : dy * (y + alpha); }
};

struct Logistic {
  __device__ float operator()(float x) const { return logistic_of(x); }
};
struct LogisticBackward {
  __device__ float operator()(float y, float dy) const { return dy * (y * (1.0f - y)); }
};

struct Tanh {
  __device__ float operator()(float x) const { return tanhf(x); }
};
struct TanhBackward {  // (1 - y)(1 + y) keeps its figures where |y| is close to 1
  __device__ float operator()(float y, float dy) const { return dy * ((1.0f - y) * (1.0f + y)); }
};

struct Softplus {  // log(1 + exp(x))
  __device__ float operator()(float x) const { return fmaxf(x, 0.0f) + log1pf(expf(-fabsf(x))); }
};
struct SoftplusBackward {
  __device__ float operator()(float x, float dy) const { return dy * logistic_of(x); }
};

struct Clip {
  float low, high;
  __device__ float operator()(float x) const { return x < low ? low : (x > high ? high : x); }
};
struct ClipBackward {
  float low, high;
  __device__ float operator()(float y, float dy) const { return y <= low || y >= high ? 0.0f : dy; }
};

struct Step {
  __device__ float operator()(float x) const { return x == x ? (x > 0.0f ? 1.0f : 0.0f) : x; }
};

template <class F>
void forward(std::int64_t n, const float* x, float* y) {
  map("activation_forward_kernel", n, y, F{}, x);
}
template <class F>
void forward_alpha(std::int64_t n, const float* x, float* y, float alpha) {
  map("activation_forward_kernel", n, y, F{alpha}, x);
}
template <class F>
void backward(std::int64_t n, const float* from, const float* dy, float* dx) {
  map("activation_backward_kernel", n, dx, F{}, from, dy);
}
template <class F>
void backward_alpha(std::int64_t n, const float* from, const float* dy, float* dx, float alpha) {
  map("activation_backward_kernel", n, dx, F{alpha}, from, dy);
}
void clip(std::int64_t n, const float* x, float* y, float low, float high) {
  map("activation_forward_kernel", n, y, Clip{low, high}, x);
}
void clip_backward(std::int64_t n, const float* y, const float* dy, float* dx, float low,
                   float high) {
  map("activation_backward_kernel", n, dx, ClipBackward{low, high}, y, dy);
}

}  // namespace
}  // namespace sentei::cuda
SENTEI_CUDA_TABLE(
    ActivationKernels, activation_kernels, .relu = forward<Relu>, .logistic = forward<Logistic>,
    .tanh = forward<Tanh>, .softplus = forward<Softplus>, .step = forward<Step>,
    .leaky_relu = forward_alpha<LeakyRelu>, .elu = forward_alpha<Elu>,
    .relu_backward = backward<ReluBackward>, .logistic_backward = backward<LogisticBackward>,
    .tanh_backward = backward<TanhBackward>, .softplus_backward = backward<SoftplusBackward>,
    .leaky_relu_backward = backward_alpha<LeakyReluBackward>,
    .elu_backward = backward_alpha<EluBackward>, .clip = clip, .clip_backward = clip_backward)
