#include "ops/bias.hpp"

#include "cpu/column_sum.hpp"
#include "ops/checks.hpp"

namespace sentei::ops {

std::size_t bias_workspace(std::int64_t rows, std::int64_t columns) {
  return cpu::column_sum_workspace(rows, columns);
}

void bias_backward(const Tensor& dy, const Tensor& db, const Tensor* workspace) {
  const char* op = "bias_backward";
  check_float(op, "dy", dy);
  check_float(op, "db", db);
  SENTEI_CHECK(ShapeError, dy.shape().rank >= 1, op, ": dy must have at least one axis");
  check_shape(op, "db", db, {dy.shape().back()});
  check_apart(op, "db", db, "dy", dy);
  const std::int64_t rows = dy.shape().rows(), columns = dy.shape().back();
  cpu::column_sum(rows, columns, dy.data<float>(), db.data<float>(),
                  check_workspace(op, workspace, cpu::column_sum_workspace(rows, columns)));
}

}  // namespace sentei::ops
