#include "ops/linear_lazy.hpp"

#include "ops/checks.hpp"

namespace sentei::ops {

kernels::LazyWeight lazy_weight(const char* op, const Tensor& w, const Tensor& v,
                                const Tensor& coef, const Tensor& group_of, Device device) {
  check_float(op, "w", w);
  SENTEI_CHECK(ShapeError, w.shape().rank >= 1, op, ": w must have an axis of rows, got shape ",
               w.shape());
  const std::int64_t rows = w.shape()[0];
  check_float(op, "v", v);
  check_shape(op, "v", v, w.shape());
  check_float(op, "coef", coef);
  check_rank(op, "coef", coef, 2);
  const std::int64_t groups = coef.shape()[0];
  check_shape(op, "coef", coef, {groups, 2});
  check_dtype(op, "group_of", group_of, DType::i32);
  check_shape(op, "group_of", group_of, {rows});
  const auto* const of = group_of.data<std::int32_t>();
  for (std::int64_t i = 0; device == Device::cpu && i < rows; ++i)
    SENTEI_CHECK(ValueError, of[i] >= 0 && of[i] < groups, op, ": group_of must lie in [0, ",
                 groups, "), got ", of[i]);
  return {w.data<float>(), v.data<float>(), coef.data<float>(), of, groups};
}

std::size_t linear_lazy_workspace(const std::string& pass, std::int64_t n, std::int64_t i,
                                  std::int64_t o, Precision precision, Device device) {
  const auto& k = kernels::linear_lazy_kernels(device);
  const kernels::LinearSizes s{n, i, o};
  if (pass == "forward") return k.forward_workspace(s, precision);
  if (pass == "backward_input") return k.backward_input_workspace(s, precision);
  fail<ValueError>("linear_lazy_workspace: pass must be forward or backward_input, got ", pass);
}

void linear_lazy_forward(const Tensor& x, const Tensor& w, const Tensor& v, const Tensor& coef,
                         const Tensor& group_of, const Tensor* b, const Tensor& y,
                         const Tensor* workspace, bool relu, Precision precision) {
  const char* op = "linear_lazy_forward";
  const Device device = device_of(op, {{"x", &x},
                                       {"w", &w},
                                       {"v", &v},
                                       {"coef", &coef},
                                       {"group_of", &group_of},
                                       {"b", b},
                                       {"y", &y},
                                       {"workspace", workspace}});
  check_precision(op, precision, device);
  const auto& k = kernels::linear_lazy_kernels(device);
  check_float(op, "x", x);
  check_rank(op, "x", x, 2);
  check_rank(op, "w", w, 2);
  const kernels::LinearSizes s{x.shape()[0], w.shape()[1], w.shape()[0]};
  SENTEI_CHECK(ShapeError, x.shape()[1] == s.I, op, ": w must have shape (O, ", x.shape()[1],
               ") to match x ", x.shape(), ", got ", w.shape());
  check_float(op, "y", y);
  check_shape(op, "y", y, {s.N, s.O});
  check_apart(op, "y", y,
              {{"x", &x}, {"w", &w}, {"v", &v}, {"coef", &coef}, {"group_of", &group_of}});
  if (b) {
    check_float(op, "b", *b);
    check_shape(op, "b", *b, {s.O});
    check_apart(op, "y", y, "b", *b);
  }
  k.forward(s, precision, x.data<float>(), lazy_weight(op, w, v, coef, group_of, device),
            b ? b->data<float>() : nullptr, relu, y.data<float>(),
            check_workspace(op, workspace, k.forward_workspace(s, precision)));
}

void linear_lazy_backward_input(const Tensor& dy, const Tensor& w, const Tensor& v,
                                const Tensor& coef, const Tensor& group_of, const Tensor& dx,
                                const Tensor* workspace, Precision precision) {
  const char* op = "linear_lazy_backward_input";
  const Device device = device_of(op, {{"dy", &dy},
                                       {"w", &w},
                                       {"v", &v},
                                       {"coef", &coef},
                                       {"group_of", &group_of},
                                       {"dx", &dx},
                                       {"workspace", workspace}});
  check_precision(op, precision, device);
  const auto& k = kernels::linear_lazy_kernels(device);
  check_float(op, "dy", dy);
  check_rank(op, "dy", dy, 2);
  check_rank(op, "w", w, 2);
  const kernels::LinearSizes s{dy.shape()[0], w.shape()[1], w.shape()[0]};
  check_shape(op, "dy", dy, {s.N, s.O});
  check_float(op, "dx", dx);
  check_shape(op, "dx", dx, {s.N, s.I});
  check_apart(op, "dx", dx,
              {{"dy", &dy}, {"w", &w}, {"v", &v}, {"coef", &coef}, {"group_of", &group_of}});
  k.backward_input(s, precision, dy.data<float>(), lazy_weight(op, w, v, coef, group_of, device),
                   dx.data<float>(),
                   check_workspace(op, workspace, k.backward_input_workspace(s, precision)));
}

}  // namespace sentei::ops
