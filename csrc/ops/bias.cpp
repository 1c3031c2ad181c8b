#include "ops/bias.hpp"

#include "kernels/column_sum.hpp"
#include "ops/checks.hpp"

namespace sentei::ops {

std::size_t bias_workspace(std::int64_t rows, std::int64_t columns, Device device) {
  return kernels::column_sum_kernels(device).workspace(rows, columns);
}

void bias_backward(const Tensor& dy, const Tensor& db, const Tensor* workspace) {
  const char* op = "bias_backward";
  const Device device = device_of(op, {{"dy", &dy}, {"db", &db}, {"workspace", workspace}});
  check_float(op, "dy", dy);
  check_float(op, "db", db);
  SENTEI_CHECK(ShapeError, dy.shape().rank >= 1, op, ": dy must have at least one axis");
  check_shape(op, "db", db, {dy.shape().back()});
  check_apart(op, "db", db, "dy", dy);
  const std::int64_t rows = dy.shape().rows(), columns = dy.shape().back();
  const auto& k = kernels::column_sum_kernels(device);
  k.run(rows, columns, dy.data<float>(), db.data<float>(),
        check_workspace(op, workspace, k.workspace(rows, columns)));
}

}  // namespace sentei::ops
