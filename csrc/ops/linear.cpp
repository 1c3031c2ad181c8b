#include "ops/linear.hpp"

#include "cpu/linear.hpp"
#include "ops/checks.hpp"

namespace sentei::ops {
namespace {

struct Sizes {
  std::int64_t n, i, o;
};

Sizes sizes(const char* op, const Tensor& rows_in, const char* in_name, const Tensor& matrix,
            const char* matrix_name) {
  check_float(op, in_name, rows_in);
  check_float(op, matrix_name, matrix);
  check_rank(op, in_name, rows_in, 2);
  check_rank(op, matrix_name, matrix, 2);
  return {rows_in.shape()[0], matrix.shape()[1], matrix.shape()[0]};
}

}  // namespace

std::size_t linear_workspace(const std::string& pass, std::int64_t n, std::int64_t i,
                             std::int64_t o) {
  if (pass == "forward") return cpu::linear_forward_workspace(n, i, o);
  if (pass == "backward_input") return cpu::linear_backward_input_workspace(n, i, o);
  if (pass == "backward_weight") return cpu::linear_backward_weight_workspace(n, i, o);
  fail<ValueError>(
      "linear_workspace: pass must be forward, backward_input or backward_weight, got ", pass);
}

void linear_forward(const Tensor& x, const Tensor& w, const Tensor* b, const Tensor& y,
                    const Tensor* workspace, bool relu) {
  const char* op = "linear_forward";
  const Sizes s = sizes(op, x, "x", w, "w");
  check_float(op, "y", y);
  SENTEI_CHECK(ShapeError, x.shape()[1] == s.i, op, ": w must have shape (O, ", x.shape()[1],
               ") to match x ", x.shape(), ", got ", w.shape());
  check_shape(op, "y", y, {s.n, s.o});
  check_apart(op, "y", y, "x", x);
  check_apart(op, "y", y, "w", w);
  if (b) {
    check_float(op, "b", *b);
    check_shape(op, "b", *b, {s.o});
    check_apart(op, "y", y, "b", *b);
  }
  cpu::linear_forward(s.n, s.i, s.o, x.data<float>(), w.data<float>(),
                      b ? b->data<float>() : nullptr, relu, y.data<float>(),
                      check_workspace(op, workspace, cpu::linear_forward_workspace(s.n, s.i, s.o)));
}

void linear_backward_input(const Tensor& dy, const Tensor& w, const Tensor& dx,
                           const Tensor* workspace) {
  const char* op = "linear_backward_input";
  const Sizes s = sizes(op, dy, "dy", w, "w");
  check_float(op, "dx", dx);
  check_shape(op, "dy", dy, {s.n, s.o});
  check_shape(op, "dx", dx, {s.n, s.i});
  check_apart(op, "dx", dx, "dy", dy);
  check_apart(op, "dx", dx, "w", w);
  cpu::linear_backward_input(
      s.n, s.i, s.o, dy.data<float>(), w.data<float>(), dx.data<float>(),
      check_workspace(op, workspace, cpu::linear_backward_input_workspace(s.n, s.i, s.o)));
}

void linear_backward_weight(const Tensor& x, const Tensor& dy, const Tensor& dw,
                            const Tensor* workspace) {
  const char* op = "linear_backward_weight";
  check_float(op, "x", x);
  check_rank(op, "x", x, 2);
  const Sizes s = sizes(op, dy, "dy", dw, "dw");
  check_shape(op, "dw", dw, {dy.shape()[1], x.shape()[1]});
  check_shape(op, "dy", dy, {x.shape()[0], s.o});
  check_apart(op, "dw", dw, "x", x);
  check_apart(op, "dw", dw, "dy", dy);
  cpu::linear_backward_weight(
      s.n, s.i, s.o, x.data<float>(), dy.data<float>(), dw.data<float>(), nullptr, s.o,
      check_workspace(op, workspace, cpu::linear_backward_weight_workspace(s.n, s.i, s.o)));
}

void linear_backward_weight_rows(const Tensor& x, const Tensor& dy, const Tensor& rows,
                                 const Tensor& offsets, const Tensor& group, const Tensor& dw,
                                 const Tensor* workspace) {
  const char* op = "linear_backward_weight_rows";
  check_float(op, "x", x);
  check_float(op, "dy", dy);
  check_float(op, "dw", dw);
  check_rank(op, "x", x, 2);
  check_rank(op, "dy", dy, 2);
  check_rank(op, "dw", dw, 2);
  const std::int64_t n = x.shape()[0], i = x.shape()[1], o = dy.shape()[1];
  check_shape(op, "dy", dy, {n, o});
  for (const auto& [name, t] : {std::pair<const char*, const Tensor*>{"rows", &rows},
                                {"offsets", &offsets},
                                {"group", &group}}) {
    check_cpu(op, name, *t);
    check_dtype(op, name, *t, DType::i32);
    check_rank(op, name, *t, 1);
  }
  check_shape(op, "rows", rows, {o});
  check_shape(op, "group", group, {1});
  const std::int64_t groups = offsets.shape()[0] - 1;
  const std::int64_t active = group.data<std::int32_t>()[0];
  SENTEI_CHECK(ValueError, active >= 0 && active < groups, op, ": group must be in [0, ", groups,
               "), got ", active);
  const std::int64_t begin = offsets.data<std::int32_t>()[active];
  const std::int64_t end = offsets.data<std::int32_t>()[active + 1];
  SENTEI_CHECK(ValueError, 0 <= begin && begin <= end && end <= o, op,
               ": offsets must rise from 0 to ", o, ", got ", begin, " and ", end);
  SENTEI_CHECK(ShapeError, dw.shape()[0] >= end - begin && dw.shape()[1] == i, op,
               ": dw must have shape (largest group, ", i, "), got ", dw.shape());
  const std::int32_t* active_rows = rows.data<std::int32_t>() + begin;
  for (std::int64_t r = 0; r < end - begin; ++r)
    SENTEI_CHECK(ValueError, active_rows[r] >= 0 && active_rows[r] < o, op,
                 ": rows must be in [0, ", o, "), got ", active_rows[r]);
  check_apart(op, "dw", dw, "x", x);
  check_apart(op, "dw", dw, "dy", dy);
  cpu::linear_backward_weight(
      n, i, o, x.data<float>(), dy.data<float>(), dw.data<float>(), active_rows, end - begin,
      check_workspace(op, workspace, cpu::linear_backward_weight_workspace(n, i, o)));
}

}  // namespace sentei::ops
