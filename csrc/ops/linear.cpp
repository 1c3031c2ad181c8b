#include "ops/linear.hpp"

#include "kernels/linear.hpp"
#include "ops/checks.hpp"

namespace sentei::ops {
namespace {

kernels::LinearSizes sizes(const char* op, const Tensor& rows_in, const char* in_name,
                           const Tensor& matrix, const char* matrix_name) {
  check_float(op, in_name, rows_in);
  check_float(op, matrix_name, matrix);
  check_rank(op, in_name, rows_in, 2);
  check_rank(op, matrix_name, matrix, 2);
  return {rows_in.shape()[0], matrix.shape()[1], matrix.shape()[0]};
}

// What can be told of the active rows where the host can read them; `most`: rows of dw.
void check_active(const char* op, const Tensor& rows, const Tensor& offsets, const Tensor& group,
                  std::int64_t most) {
  const std::int64_t groups = offsets.size() - 1, o = rows.size();
  const std::int64_t active = *group.data<std::int32_t>();
  SENTEI_CHECK(ValueError, active >= 0 && active < groups, op, ": group must be in [0, ", groups,
               "), got ", active);
  const std::int64_t begin = offsets.data<std::int32_t>()[active];
  const std::int64_t end = offsets.data<std::int32_t>()[active + 1];
  SENTEI_CHECK(ValueError, 0 <= begin && begin <= end && end <= o, op,
               ": offsets must rise from 0 to ", o, ", got ", begin, " and ", end);
  SENTEI_CHECK(ShapeError, most >= end - begin, op, ": dw must have a row for each of the ",
               end - begin, " active rows, got ", most);
  const std::int32_t* const list = rows.data<std::int32_t>() + begin;
  for (std::int64_t r = 0; r < end - begin; ++r)
    SENTEI_CHECK(ValueError, list[r] >= 0 && list[r] < o, op, ": rows must be in [0, ", o,
                 "), got ", list[r]);
}

}  // namespace

std::size_t linear_workspace(const std::string& pass, std::int64_t n, std::int64_t i,
                             std::int64_t o, Precision precision, Device device) {
  const auto& k = kernels::linear_kernels(device);
  const kernels::LinearSizes s{n, i, o};
  if (pass == "forward") return k.forward_workspace(s, precision);
  if (pass == "backward_input") return k.backward_input_workspace(s, precision);
  if (pass == "backward_weight") return k.backward_weight_workspace(s, precision);
  fail<ValueError>(
      "linear_workspace: pass must be forward, backward_input or backward_weight, got ", pass);
}

void linear_forward(const Tensor& x, const Tensor& w, const Tensor* b, const Tensor& y,
                    const Tensor* workspace, bool relu, Precision precision) {
  const char* op = "linear_forward";
  const Device device =
      device_of(op, {{"x", &x}, {"w", &w}, {"b", b}, {"y", &y}, {"workspace", workspace}});
  check_precision(op, precision, device);
  const auto& k = kernels::linear_kernels(device);
  const kernels::LinearSizes s = sizes(op, x, "x", w, "w");
  check_float(op, "y", y);
  SENTEI_CHECK(ShapeError, x.shape()[1] == s.I, op, ": w must have shape (O, ", x.shape()[1],
               ") to match x ", x.shape(), ", got ", w.shape());
  check_shape(op, "y", y, {s.N, s.O});
  check_apart(op, "y", y, "x", x);
  check_apart(op, "y", y, "w", w);
  if (b) {
    check_float(op, "b", *b);
    check_shape(op, "b", *b, {s.O});
    check_apart(op, "y", y, "b", *b);
  }
  k.forward(s, precision, x.data<float>(), w.data<float>(), b ? b->data<float>() : nullptr, relu,
            y.data<float>(), check_workspace(op, workspace, k.forward_workspace(s, precision)));
}

void linear_backward_input(const Tensor& dy, const Tensor& w, const Tensor& dx,
                           const Tensor* workspace, Precision precision) {
  const char* op = "linear_backward_input";
  const Device device =
      device_of(op, {{"dy", &dy}, {"w", &w}, {"dx", &dx}, {"workspace", workspace}});
  check_precision(op, precision, device);
  const auto& k = kernels::linear_kernels(device);
  const kernels::LinearSizes s = sizes(op, dy, "dy", w, "w");
  check_float(op, "dx", dx);
  check_shape(op, "dy", dy, {s.N, s.O});
  check_shape(op, "dx", dx, {s.N, s.I});
  check_apart(op, "dx", dx, "dy", dy);
  check_apart(op, "dx", dx, "w", w);
  k.backward_input(s, precision, dy.data<float>(), w.data<float>(), dx.data<float>(),
                   check_workspace(op, workspace, k.backward_input_workspace(s, precision)));
}

void linear_backward_weight(const Tensor& x, const Tensor& dy, const Tensor& dw,
                            const Tensor* workspace, Precision precision) {
  const char* op = "linear_backward_weight";
  const Device device =
      device_of(op, {{"x", &x}, {"dy", &dy}, {"dw", &dw}, {"workspace", workspace}});
  check_precision(op, precision, device);
  const auto& k = kernels::linear_kernels(device);
  check_float(op, "x", x);
  check_rank(op, "x", x, 2);
  const kernels::LinearSizes s = sizes(op, dy, "dy", dw, "dw");
  check_shape(op, "dw", dw, {dy.shape()[1], x.shape()[1]});
  check_shape(op, "dy", dy, {x.shape()[0], s.O});
  check_apart(op, "dw", dw, "x", x);
  check_apart(op, "dw", dw, "dy", dy);
  k.backward_weight(s, precision, x.data<float>(), dy.data<float>(), dw.data<float>(), nullptr,
                    check_workspace(op, workspace, k.backward_weight_workspace(s, precision)));
}

void linear_backward_weight_rows(const Tensor& x, const Tensor& dy, const Tensor& rows,
                                 const Tensor& offsets, const Tensor& group, const Tensor& dw,
                                 const Tensor* workspace, Precision precision) {
  const char* op = "linear_backward_weight_rows";
  const Device device = device_of(op, {{"x", &x},
                                       {"dy", &dy},
                                       {"rows", &rows},
                                       {"offsets", &offsets},
                                       {"group", &group},
                                       {"dw", &dw},
                                       {"workspace", workspace}});
  check_precision(op, precision, device);
  const auto& k = kernels::linear_kernels(device);
  check_float(op, "x", x);
  check_float(op, "dy", dy);
  check_float(op, "dw", dw);
  check_rank(op, "x", x, 2);
  check_rank(op, "dy", dy, 2);
  check_rank(op, "dw", dw, 2);
  const kernels::LinearSizes s{x.shape()[0], x.shape()[1], dy.shape()[1]};
  check_shape(op, "dy", dy, {s.N, s.O});
  for (const auto& [name, t] : {std::pair<const char*, const Tensor*>{"rows", &rows},
                                {"offsets", &offsets},
                                {"group", &group}}) {
    check_dtype(op, name, *t, DType::i32);
    check_rank(op, name, *t, 1);
  }
  check_shape(op, "rows", rows, {s.O});
  check_shape(op, "group", group, {1});
  SENTEI_CHECK(ShapeError, offsets.size() >= 2, op,
               ": offsets must have one entry more than there are groups, got shape ",
               offsets.shape());
  SENTEI_CHECK(ShapeError, dw.shape()[1] == s.I, op, ": dw must have shape (largest group, ", s.I,
               "), got ", dw.shape());
  if (device == Device::cpu) check_active(op, rows, offsets, group, dw.shape()[0]);
  check_apart(op, "dw", dw, "x", x);
  check_apart(op, "dw", dw, "dy", dy);
  const kernels::ActiveRows active{rows.data<std::int32_t>(), offsets.data<std::int32_t>(),
                                   group.data<std::int32_t>(), dw.shape()[0], offsets.size() - 1};
  k.backward_weight(
      s, precision, x.data<float>(), dy.data<float>(), dw.data<float>(), &active,
      check_workspace(op, workspace,
                      k.backward_weight_workspace({s.N, s.I, active.most}, precision)));
}

}  // namespace sentei::ops
