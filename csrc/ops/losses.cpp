#include "ops/losses.hpp"

#include <cmath>

#include "kernels/losses.hpp"
#include "ops/checks.hpp"

namespace sentei::ops {
namespace {

struct Kind {
  const char* name;
  kernels::Loss loss;
};

constexpr Kind kKinds[] = {
    {"squared", kernels::Loss::squared},
    {"binary_ce", kernels::Loss::binary_ce},
    {"binary_ce_logits", kernels::Loss::binary_ce_logits},
    {"categorical_ce", kernels::Loss::categorical_ce},
    {"logistic", kernels::Loss::logistic},
    {"exponential", kernels::Loss::exponential},
    {"hinge", kernels::Loss::hinge},
    {"quantile", kernels::Loss::quantile},
    {"huber", kernels::Loss::huber},
    {"eps_insensitive", kernels::Loss::eps_insensitive},
};

const Kind& kind_named(const char* op, const std::string& name) {
  std::string known;
  for (const Kind& k : kKinds) {
    if (name == k.name) return k;
    known += (known.empty() ? "" : ", ") + std::string(k.name);
  }
  fail<ValueError>(op, ": kind must be one of ", known, ", got ", name);
}

void check_parameter(const char* op, const Kind& kind, double a) {
  if (kind.loss == kernels::Loss::quantile)
    SENTEI_CHECK(ValueError, a >= 0 && a <= 1, op, ": tau must lie in [0, 1], got ", a);
  else if (kind.loss == kernels::Loss::huber)
    SENTEI_CHECK(ValueError, a > 0 && std::isfinite(a), op, ": delta must be positive, got ", a);
  else if (kind.loss == kernels::Loss::eps_insensitive)
    SENTEI_CHECK(ValueError, a >= 0 && std::isfinite(a), op, ": eps must be at least 0, got ", a);
  else
    SENTEI_CHECK(ValueError, a == 0, op, ": parameter must be 0 for ", kind.name, ", got ", a);
}

}  // namespace

void elementwise_loss_forward(const Tensor& y, const Tensor& t, const Tensor& loss,
                              const Tensor& per_sample, const Tensor& grad, const std::string& kind,
                              double parameter, bool mean) {
  const char* op = "elementwise_loss_forward";
  const Device device = device_of(
      op, {{"y", &y}, {"t", &t}, {"loss", &loss}, {"per_sample", &per_sample}, {"grad", &grad}});
  check_float(op, "y", y);
  SENTEI_CHECK(ShapeError, y.shape().rank >= 1, op, ": y must have an axis of samples, got shape ",
               y.shape());
  const std::int64_t n = y.shape()[0];
  check_float(op, "t", t);
  check_shape(op, "t", t, y.shape());
  check_float(op, "loss", loss);
  check_shape(op, "loss", loss, Shape{1});
  check_float(op, "per_sample", per_sample);
  check_shape(op, "per_sample", per_sample, Shape{n});
  check_float(op, "grad", grad);
  check_shape(op, "grad", grad, y.shape());
  check_same_or_apart(op, "grad", grad, "y", y);
  check_same_or_apart(op, "grad", grad, "t", t);
  for (const Tensor* in : {&y, &t}) {
    check_apart(op, "loss", loss, in == &y ? "y" : "t", *in);
    check_apart(op, "per_sample", per_sample, in == &y ? "y" : "t", *in);
  }
  check_apart(op, "loss", loss, "per_sample", per_sample);
  check_apart(op, "grad", grad, "loss", loss);
  check_apart(op, "grad", grad, "per_sample", per_sample);
  const Kind& k = kind_named(op, kind);
  check_parameter(op, k, parameter);
  const kernels::LossKernels& table = kernels::loss_kernels(device);
  table.forward(k.loss, n, n ? y.size() / n : 0, y.data<float>(), t.data<float>(), parameter,
                per_sample.data<float>(), grad.data<float>());
  table.reduce(n, per_sample.data<float>(), mean, loss.data<float>());
}

void loss_backward(const Tensor& grad, const Tensor& dloss, const Tensor& dx, bool mean) {
  const char* op = "loss_backward";
  const Device device = device_of(op, {{"grad", &grad}, {"dloss", &dloss}, {"dx", &dx}});
  check_float(op, "grad", grad);
  SENTEI_CHECK(ShapeError, grad.shape().rank >= 1, op,
               ": grad must have an axis of samples, got shape ", grad.shape());
  check_float(op, "dloss", dloss);
  check_shape(op, "dloss", dloss, Shape{1});
  check_float(op, "dx", dx);
  check_shape(op, "dx", dx, grad.shape());
  check_same_or_apart(op, "dx", dx, "grad", grad);
  check_apart(op, "dx", dx, "dloss", dloss);
  const std::int64_t n = grad.shape()[0];
  kernels::loss_kernels(device).scale(grad.size(), grad.data<float>(), dloss.data<float>(),
                                      static_cast<float>(mean && n ? n : 1), dx.data<float>());
}

}  // namespace sentei::ops
