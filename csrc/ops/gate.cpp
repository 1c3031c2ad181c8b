#include "ops/gate.hpp"

#include "kernels/gate.hpp"
#include "ops/elementwise.hpp"

namespace sentei::ops {
namespace {

bool is_hard(const char* op, const std::string& kind, float alpha) {
  SENTEI_CHECK(ValueError, kind == "step" || kind == "sigmoid", op,
               ": kind must be 'step' or 'sigmoid', got '", kind, "'");
  SENTEI_CHECK(ValueError, std::isfinite(alpha) && alpha > 0.0f, op,
               ": alpha must be a finite number > 0, got ", alpha);
  return kind == "step";
}

struct Rows {
  std::int64_t rows, width;
};

Rows rows_of(const char* op, const Tensor& w, const Tensor& h) {
  check_float(op, "w", w);
  check_float(op, "h", h);
  const Shape &a = w.shape(), &b = h.shape();
  bool fits = b.rank >= 1 && b.rank <= a.rank;
  std::int64_t width = 1;
  for (int i = 0; i < a.rank; ++i) {
    if (i < b.rank)
      fits = fits && a[i] == b[i];
    else
      width *= a[i];
  }
  SENTEI_CHECK(ShapeError, fits, op, ": h must have the shape that w begins with, (K) of ", a,
               " or all of it, got ", b);
  return {h.size(), width};
}

}  // namespace

void gate_forward(const Tensor& m, const Tensor& h, const std::string& kind, float alpha) {
  const char* op = "gate_forward";
  const Device device = device_of(op, {{"m", &m}, {"h", &h}});
  const bool hard = is_hard(op, kind, alpha);
  check_map(op, "m", m, "h", h);
  kernels::gate_kernels(device).forward(m.size(), m.data<float>(), h.data<float>(), hard, alpha);
}

void gate_backward(const Tensor& m, const Tensor& dh, const Tensor& dm, const std::string& kind,
                   float alpha) {
  const char* op = "gate_backward";
  const Device device = device_of(op, {{"m", &m}, {"dh", &dh}, {"dm", &dm}});
  const bool hard = is_hard(op, kind, alpha);
  check_pair(op, "m", m, "dh", dh, "dm", dm);
  kernels::gate_kernels(device).backward(m.size(), m.data<float>(), dh.data<float>(),
                                         dm.data<float>(), hard, alpha);
}

void gate_clip(const Tensor& m, float bound) {
  const char* op = "gate_clip";
  check_float(op, "m", m);
  check_writable(op, "m", m);
  check_not_negative(op, "bound", bound);
  kernels::gate_kernels(device_of(op, {{"m", &m}})).clip(m.size(), m.data<float>(), bound);
}

void gate_weights_forward(const Tensor& w, const Tensor& h, const Tensor& y) {
  const char* op = "gate_weights_forward";
  const Device device = device_of(op, {{"w", &w}, {"h", &h}, {"y", &y}});
  const Rows r = rows_of(op, w, h);
  check_map(op, "w", w, "y", y);
  check_apart(op, "y", y, "h", h);
  if (w.size() == 0) return;
  kernels::gate_kernels(device).weights_forward(r.rows, r.width, w.data<float>(), h.data<float>(),
                                                y.data<float>());
}

void gate_weights_backward(const Tensor& dy, const Tensor& w, const Tensor& h, const Tensor& dw,
                           const Tensor& dh, const std::string& estimator) {
  const char* op = "gate_weights_backward";
  const Device device =
      device_of(op, {{"dy", &dy}, {"w", &w}, {"h", &h}, {"dw", &dw}, {"dh", &dh}});
  SENTEI_CHECK(ValueError, estimator == "value" || estimator == "sign", op,
               ": estimator must be 'value' or 'sign', got '", estimator, "'");
  const Rows r = rows_of(op, w, h);
  check_map(op, "dy", dy, "dw", dw);
  check_shape(op, "dy", dy, w.shape());
  check_apart(op, "dw", dw, {{"w", &w}, {"h", &h}});
  check_float(op, "dh", dh);
  check_shape(op, "dh", dh, h.shape());
  check_apart(op, "dh", dh, {{"dy", &dy}, {"w", &w}, {"h", &h}, {"dw", &dw}});
  kernels::gate_kernels(device).weights_backward(r.rows, r.width, dy.data<float>(), w.data<float>(),
                                                 h.data<float>(), dw.data<float>(),
                                                 dh.data<float>(), estimator == "sign");
}

void gate_penalty_forward(const Tensor& h, const Tensor& value, double lam) {
  const char* op = "gate_penalty_forward";
  const Device device = device_of(op, {{"h", &h}, {"value", &value}});
  check_float(op, "h", h);
  check_float(op, "value", value);
  check_shape(op, "value", value, Shape{1});
  check_apart(op, "value", value, "h", h);
  check_not_negative(op, "lam", static_cast<float>(lam));
  const auto n = static_cast<double>(h.size());
  kernels::gate_kernels(device).penalty_forward(h.size(), h.data<float>(), value.data<float>(),
                                                n > 0 ? lam / n : 0.0);
}

void gate_penalty_backward(const Tensor& dvalue, const Tensor& dh, double lam) {
  const char* op = "gate_penalty_backward";
  const Device device = device_of(op, {{"dvalue", &dvalue}, {"dh", &dh}});
  check_float(op, "dvalue", dvalue);
  check_shape(op, "dvalue", dvalue, Shape{1});
  check_float(op, "dh", dh);
  check_apart(op, "dh", dh, "dvalue", dvalue);
  check_not_negative(op, "lam", static_cast<float>(lam));
  const auto n = static_cast<double>(dh.size());
  kernels::gate_kernels(device).penalty_backward(dh.size(), dvalue.data<float>(), dh.data<float>(),
                                                 n > 0 ? lam / n : 0.0);
}

}  // namespace sentei::ops
