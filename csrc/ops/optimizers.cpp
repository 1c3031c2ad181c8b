#include "ops/optimizers.hpp"

#include <cmath>
#include <initializer_list>

#include "kernels/optimizers.hpp"
#include "ops/checks.hpp"

namespace sentei::ops {
namespace {

struct Named {
  const char* name;
  const Tensor* tensor;
};

// w and its states are written, g is read: one shape, no shared memory.
void check_update(const char* op, const Tensor& w, const Tensor& g, const Tensor& lr,
                  std::initializer_list<Named> states) {
  check_float(op, "w", w);
  check_float(op, "g", g);
  check_shape(op, "g", g, w.shape());
  check_apart(op, "w", w, "g", g);
  check_float(op, "lr", lr);
  check_shape(op, "lr", lr, Shape{1});
  check_apart(op, "w", w, "lr", lr);
  for (const Named& s : states) {
    check_float(op, s.name, *s.tensor);
    check_shape(op, s.name, *s.tensor, w.shape());
    check_apart(op, s.name, *s.tensor, "w", w);
    check_apart(op, s.name, *s.tensor, "g", g);
    check_apart(op, s.name, *s.tensor, "lr", lr);
    for (const Named& other : states) {
      if (&other == &s) break;
      check_apart(op, s.name, *s.tensor, other.name, *other.tensor);
    }
  }
}

float decay_of(const char* op, double weight_decay, double l2) {
  SENTEI_CHECK(ValueError, weight_decay >= 0 && std::isfinite(weight_decay), op,
               ": weight_decay must be at least 0 and finite, got ", weight_decay);
  SENTEI_CHECK(ValueError, l2 >= 0 && std::isfinite(l2), op,
               ": l2 must be at least 0 and finite, got ", l2);
  return static_cast<float>(weight_decay + 2 * l2);
}

void check_share(const char* op, const char* name, double value) {
  SENTEI_CHECK(ValueError, value >= 0 && value < 1, op, ": ", name, " must lie in [0, 1), got ",
               value);
}

// 0 / 0 where no gradient ever came, if eps were 0.
float checked_eps(const char* op, double eps) {
  SENTEI_CHECK(ValueError, static_cast<float>(eps) > 0 && std::isfinite(eps), op,
               ": eps must be positive, got ", eps);
  return static_cast<float>(eps);
}

}  // namespace

void sgd_update(const Tensor& w, const Tensor& g, const Tensor* v, const Tensor& lr,
                double momentum, double weight_decay, double l2) {
  const char* op = "sgd_update";
  const Device device = device_of(op, {{"w", &w}, {"g", &g}, {"v", v}, {"lr", &lr}});
  if (v)
    check_update(op, w, g, lr, {{"v", v}});
  else
    check_update(op, w, g, lr, {});
  check_share(op, "momentum", momentum);
  SENTEI_CHECK(ValueError, v || momentum == 0, op, ": momentum must be 0 without v, got ",
               momentum);
  const float decay = decay_of(op, weight_decay, l2);
  kernels::optimizer_kernels(device).sgd(w.size(), w.data<float>(), g.data<float>(),
                                         v ? v->data<float>() : nullptr, *lr.data<float>(),
                                         static_cast<float>(momentum), decay);
}

void adagrad_update(const Tensor& w, const Tensor& g, const Tensor& h, const Tensor& lr, double eps,
                    double weight_decay, double l2) {
  const char* op = "adagrad_update";
  const Device device = device_of(op, {{"w", &w}, {"g", &g}, {"h", &h}, {"lr", &lr}});
  check_update(op, w, g, lr, {{"h", &h}});
  const float e = checked_eps(op, eps), decay = decay_of(op, weight_decay, l2);
  kernels::optimizer_kernels(device).adagrad(w.size(), w.data<float>(), g.data<float>(),
                                             h.data<float>(), *lr.data<float>(), e, decay);
}

void rmsprop_update(const Tensor& w, const Tensor& g, const Tensor& h, const Tensor& lr,
                    double alpha, double eps, double weight_decay, double l2) {
  const char* op = "rmsprop_update";
  const Device device = device_of(op, {{"w", &w}, {"g", &g}, {"h", &h}, {"lr", &lr}});
  check_update(op, w, g, lr, {{"h", &h}});
  check_share(op, "alpha", alpha);
  const float e = checked_eps(op, eps), decay = decay_of(op, weight_decay, l2);
  kernels::optimizer_kernels(device).rmsprop(
      w.size(), w.data<float>(), g.data<float>(), h.data<float>(), *lr.data<float>(),
      static_cast<float>(alpha), static_cast<float>(1 - alpha), e, decay);
}

void adam_update(const Tensor& w, const Tensor& g, const Tensor& m, const Tensor& v,
                 const Tensor& t, const Tensor& lr, double beta1, double beta2, double eps,
                 bool eps_inside, double weight_decay, double l2) {
  const char* op = "adam_update";
  const Device device =
      device_of(op, {{"w", &w}, {"g", &g}, {"m", &m}, {"v", &v}, {"t", &t}, {"lr", &lr}});
  check_update(op, w, g, lr, {{"m", &m}, {"v", &v}});
  check_dtype(op, "t", t, DType::i64);
  check_shape(op, "t", t, Shape{1});
  check_apart(op, "w", w, "t", t);
  check_apart(op, "m", m, "t", t);
  check_apart(op, "v", v, "t", t);
  check_share(op, "beta1", beta1);
  check_share(op, "beta2", beta2);
  const float e = checked_eps(op, eps), decay = decay_of(op, weight_decay, l2);
  const std::int64_t count = *t.data<std::int64_t>();
  SENTEI_CHECK(ValueError, count >= 1, op, ": t must count updates from 1, got ", count);
  const double rate = *lr.data<float>(), steps = static_cast<double>(count);
  kernels::AdamScalars s{};
  s.beta1 = static_cast<float>(beta1);
  s.keep1 = static_cast<float>(1 - beta1);
  s.beta2 = static_cast<float>(beta2);
  s.keep2 = static_cast<float>(1 - beta2);
  s.step = static_cast<float>(rate / (1 - std::pow(beta1, steps)));
  s.correction = static_cast<float>(1 / (1 - std::pow(beta2, steps)));
  s.eps = e;
  s.decay = decay;
  s.eps_inside = eps_inside;
  kernels::optimizer_kernels(device).adam(w.size(), w.data<float>(), g.data<float>(),
                                          m.data<float>(), v.data<float>(), s);
}

}  // namespace sentei::ops
