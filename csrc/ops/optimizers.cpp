#include "ops/optimizers.hpp"

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <string>
#include <utility>

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
                                         v ? v->data<float>() : nullptr, lr.data<float>(),
                                         static_cast<float>(momentum), decay);
}

namespace {

struct Extent {
  const std::byte *begin, *end;
  bool written;
  std::string name;
};

// What is written shares memory with nothing else of the call.
void check_all_apart(const char* op, std::vector<Extent> all) {
  std::sort(all.begin(), all.end(),
            [](const Extent& a, const Extent& b) { return a.begin < b.begin; });
  const Extent *any = nullptr, *written = nullptr;  // those that reach furthest so far
  for (const Extent& e : all) {
    const Extent* const before = e.written ? any : written;
    SENTEI_CHECK(ValueError, !before || before->end <= e.begin, op, ": ", e.name,
                 " must not overlap ", before->name);
    if (!any || e.end > any->end) any = &e;
    if (e.written && (!written || e.end > written->end)) written = &e;
  }
}

}  // namespace

void sgd_update_many(const Tensor& lr, const std::vector<Tensor>& xs, bool with_v,
                     const std::vector<double>& momentum, const std::vector<double>& weight_decay,
                     const std::vector<double>& l2) {
  const char* op = "sgd_update_many";
  const std::size_t each = with_v ? 3 : 2, count = xs.size() / each;
  SENTEI_CHECK(ShapeError, xs.size() == count * each, op, ": xs must hold ",
               with_v ? "w, g, v" : "w, g", " for each parameter, got ", xs.size(), " tensors");
  for (const auto& [name, values] :
       {std::pair{"momentum", &momentum}, std::pair{"weight_decay", &weight_decay},
        std::pair{"l2", &l2}})
    SENTEI_CHECK(ValueError, values->size() == count, op, ": ", name,
                 " must have a number for each of ", count, " parameters, got ", values->size());
  const Device device = lr.device();
  check_float(op, "lr", lr);
  check_shape(op, "lr", lr, Shape{1});
  std::vector<Extent> extents{{lr.raw(), lr.raw() + lr.bytes(), false, "lr"}};
  std::vector<kernels::SgdTensor> tensors;
  for (std::size_t i = 0; i < count; ++i) {
    const Tensor& w = xs[i * each];
    for (std::size_t k = 0; k < each; ++k) {
      const Tensor& x = xs[i * each + k];
      const std::string name = "xs" + std::to_string(i * each + k);
      check_float(op, name.c_str(), x);
      check_shape(op, name.c_str(), x, w.shape());
      SENTEI_CHECK(DeviceError, x.bytes() == 0 || x.device() == device, op, ": ", name,
                   " must be on ", device_name(device), " as lr is, got ", device_name(x.device()));
      if (k != 1) check_writable(op, name.c_str(), x);
      if (x.bytes()) extents.push_back({x.raw(), x.raw() + x.bytes(), k != 1, name});
    }
    check_share(op, "momentum", momentum[i]);
    SENTEI_CHECK(ValueError, with_v || momentum[i] == 0, op, ": momentum must be 0 without v, got ",
                 momentum[i]);
    tensors.push_back({w.size(), w.data<float>(), xs[i * each + 1].data<float>(),
                       with_v ? xs[i * each + 2].data<float>() : nullptr,
                       static_cast<float>(momentum[i]), decay_of(op, weight_decay[i], l2[i])});
  }
  check_all_apart(op, std::move(extents));
  kernels::optimizer_kernels(device).sgd_many(static_cast<std::int64_t>(tensors.size()),
                                              tensors.data(), lr.data<float>());
}

void adagrad_update(const Tensor& w, const Tensor& g, const Tensor& h, const Tensor& lr, double eps,
                    double weight_decay, double l2) {
  const char* op = "adagrad_update";
  const Device device = device_of(op, {{"w", &w}, {"g", &g}, {"h", &h}, {"lr", &lr}});
  check_update(op, w, g, lr, {{"h", &h}});
  const float e = checked_eps(op, eps), decay = decay_of(op, weight_decay, l2);
  kernels::optimizer_kernels(device).adagrad(w.size(), w.data<float>(), g.data<float>(),
                                             h.data<float>(), lr.data<float>(), e, decay);
}

void rmsprop_update(const Tensor& w, const Tensor& g, const Tensor& h, const Tensor& lr,
                    double alpha, double eps, double weight_decay, double l2) {
  const char* op = "rmsprop_update";
  const Device device = device_of(op, {{"w", &w}, {"g", &g}, {"h", &h}, {"lr", &lr}});
  check_update(op, w, g, lr, {{"h", &h}});
  check_share(op, "alpha", alpha);
  const float e = checked_eps(op, eps), decay = decay_of(op, weight_decay, l2);
  kernels::optimizer_kernels(device).rmsprop(
      w.size(), w.data<float>(), g.data<float>(), h.data<float>(), lr.data<float>(),
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
  if (device == Device::cpu) {  // elsewhere a count below 1 makes w infinite or NaN
    const std::int64_t count = *t.data<std::int64_t>();
    SENTEI_CHECK(ValueError, count >= 1, op, ": t must count updates from 1, got ", count);
  }
  kernels::optimizer_kernels(device).adam(w.size(), w.data<float>(), g.data<float>(),
                                          m.data<float>(), v.data<float>(), t.data<std::int64_t>(),
                                          lr.data<float>(), {beta1, beta2, e, decay, eps_inside});
}

}  // namespace sentei::ops
