// Parameter updates: every tensor is read once and written once (SGD with momentum: 20 bytes per
// element), in tasks of 16 Ki elements. Each element is on its own, so no order matters.
#include "kernels/optimizers.hpp"

#include <cmath>

#include "core/parallel.hpp"
#include "cpu/simd.hpp"

namespace sentei::cpu::SENTEI_ISA {

using namespace sentei::kernels;
namespace {

constexpr std::int64_t kBlock = 16384;

SENTEI_INLINE vf vsqrt(vf a) {
#if defined(__AVX512F__)
  // The masked form: gcc 12 warns of an uninitialised value inside the plain one.
  return (vf)_mm512_maskz_sqrt_ps(static_cast<__mmask16>(-1), (__m512)a);
#elif defined(__AVX2__)
  return (vf)_mm256_sqrt_ps((__m256)a);
#else
  for (int i = 0; i < kLanes; ++i) a[i] = __builtin_sqrtf(a[i]);
  return a;
#endif
}

// full(i) does kLanes elements from i on, tail(i, m) the last m < kLanes.
template <class Full, class Tail>
SENTEI_INLINE void sweep(std::int64_t n, const Full& full, const Tail& tail) {
  parallel_for(ceil_div(n, kBlock), [&](std::int64_t task) {
    const std::int64_t end = imin(n, (task + 1) * kBlock);
    std::int64_t i = task * kBlock;
    for (; i + kLanes <= end; i += kLanes) full(i);
    if (i < end) tail(i, static_cast<int>(end - i));
  });
}

void sgd(std::int64_t n, float* w, const float* g, float* v, const float* lr, float momentum,
         float decay) {
  const vf rate = splat(*lr), a = splat(momentum), d = splat(decay);
  if (!v) {
    const auto next = [=](vf w_, vf g_) { return w_ - rate * fma(d, w_, g_); };
    sweep(
        n, [=](std::int64_t i) { store(w + i, next(load(w + i), load(g + i))); },
        [=](std::int64_t i, int m) {
          store_n(w + i, next(load_n(w + i, m), load_n(g + i, m)), m);
        });
    return;
  }
  const auto change = [=](vf w_, vf g_, vf v_) { return a * v_ - rate * fma(d, w_, g_); };
  sweep(
      n,
      [=](std::int64_t i) {
        const vf w_ = load(w + i), v_ = change(w_, load(g + i), load(v + i));
        store(v + i, v_);
        store(w + i, w_ + v_);
      },
      [=](std::int64_t i, int m) {
        const vf w_ = load_n(w + i, m), v_ = change(w_, load_n(g + i, m), load_n(v + i, m));
        store_n(v + i, v_, m);
        store_n(w + i, w_ + v_, m);
      });
}

// Updates with one state h: step(w, g, h) changes w and h; g has the decay in it.
template <class Step>
SENTEI_INLINE void one_state(std::int64_t n, float* w, const float* g, float* h, float decay,
                             const Step& step) {
  const vf d = splat(decay);
  sweep(
      n,
      [=](std::int64_t i) {
        vf w_ = load(w + i), h_ = load(h + i);
        step(w_, fma(d, w_, load(g + i)), h_);
        store(h + i, h_);
        store(w + i, w_);
      },
      [=](std::int64_t i, int m) {
        vf w_ = load_n(w + i, m), h_ = load_n(h + i, m);
        step(w_, fma(d, w_, load_n(g + i, m)), h_);
        store_n(h + i, h_, m);
        store_n(w + i, w_, m);
      });
}

void adagrad(std::int64_t n, float* w, const float* g, float* h, const float* lr, float eps,
             float decay) {
  const vf rate = splat(*lr), e = splat(eps);
  one_state(n, w, g, h, decay, [=](vf& w_, vf g_, vf& h_) {
    h_ = fma(g_, g_, h_);
    w_ = w_ - rate * g_ / (vsqrt(h_) + e);
  });
}

void rmsprop(std::int64_t n, float* w, const float* g, float* h, const float* lr, float alpha,
             float keep, float eps, float decay) {
  const vf rate = splat(*lr), e = splat(eps), a = splat(alpha), b = splat(keep);
  one_state(n, w, g, h, decay, [=](vf& w_, vf g_, vf& h_) {
    h_ = fma(a, h_, b * g_ * g_);
    w_ = w_ - rate * g_ / vsqrt(h_ + e);
  });
}

template <bool kInside>
SENTEI_INLINE void adam_of(std::int64_t n, float* w, const float* g, float* m, float* v,
                           std::int64_t t, float lr, const AdamScalars& s) {
  const double steps = static_cast<double>(t);
  const double step_size = static_cast<double>(lr) / (1 - std::pow(s.beta1, steps));
  const double correction = 1 / (1 - std::pow(s.beta2, steps));
  const vf b1 = splat(static_cast<float>(s.beta1)), k1 = splat(static_cast<float>(1 - s.beta1));
  const vf b2 = splat(static_cast<float>(s.beta2)), k2 = splat(static_cast<float>(1 - s.beta2));
  const vf rate = splat(static_cast<float>(step_size)), c = splat(static_cast<float>(correction));
  const vf e = splat(s.eps), d = splat(s.decay);
  const auto step = [=](vf& w_, vf g_, vf& m_, vf& v_) {
    g_ = fma(d, w_, g_);
    m_ = fma(b1, m_, k1 * g_);
    v_ = fma(b2, v_, k2 * g_ * g_);
    const vf scale = kInside ? vsqrt(fma(v_, c, e)) : vsqrt(v_ * c) + e;
    w_ = w_ - rate * m_ / scale;
  };
  sweep(
      n,
      [=](std::int64_t i) {
        vf w_ = load(w + i), m_ = load(m + i), v_ = load(v + i);
        step(w_, load(g + i), m_, v_);
        store(m + i, m_);
        store(v + i, v_);
        store(w + i, w_);
      },
      [=](std::int64_t i, int k) {
        vf w_ = load_n(w + i, k), m_ = load_n(m + i, k), v_ = load_n(v + i, k);
        step(w_, load_n(g + i, k), m_, v_);
        store_n(m + i, m_, k);
        store_n(v + i, v_, k);
        store_n(w + i, w_, k);
      });
}

void adam(std::int64_t n, float* w, const float* g, float* m, float* v, const std::int64_t* t,
          const float* lr, const AdamScalars& s) {
  if (s.eps_inside)
    adam_of<true>(n, w, g, m, v, *t, *lr, s);
  else
    adam_of<false>(n, w, g, m, v, *t, *lr, s);
}

void sgd_many(std::int64_t count, const SgdTensor* tensors, const float* lr) {
  for (std::int64_t i = 0; i < count; ++i) {
    const SgdTensor& t = tensors[i];
    sgd(t.n, t.w, t.g, t.v, lr, t.momentum, t.decay);
  }
}

}  // namespace

extern const OptimizerKernels optimizer_kernels;
const OptimizerKernels optimizer_kernels = {sgd, sgd_many, adagrad, rmsprop, adam};

}  // namespace sentei::cpu::SENTEI_ISA
