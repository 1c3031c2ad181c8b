#include "ops/record.hpp"

#include "kernels/record.hpp"
#include "ops/checks.hpp"

namespace sentei::ops {

void record_append(const Tensor& total, const Tensor& loss, const Tensor* correct,
                   const Tensor& log, const Tensor& at) {
  const char* op = "record_append";
  const Device device = device_of(
      op, {{"total", &total}, {"loss", &loss}, {"correct", correct}, {"log", &log}, {"at", &at}});
  check_float(op, "total", total);
  check_float(op, "loss", loss);
  check_dtype(op, "log", log, DType::f64);
  check_dtype(op, "at", at, DType::i64);
  if (correct) check_dtype(op, "correct", *correct, DType::i64);
  for (const Argument& a :
       {Argument{"total", &total}, {"loss", &loss}, {"correct", correct}, {"at", &at}})
    if (a.tensor) check_shape(op, a.name, *a.tensor, Shape{1});
  check_rank(op, "log", log, 2);
  SENTEI_CHECK(ShapeError, log.shape()[0] > 0 && log.shape()[1] == 3, op,
               ": log must have shape (rows, 3) with a row at least, got ", log.shape());
  check_apart(op, "log", log,
              {{"total", &total}, {"loss", &loss}, {"correct", correct}, {"at", &at}});
  check_apart(op, "at", at, {{"total", &total}, {"loss", &loss}, {"correct", correct}});
  const std::int64_t rows = log.shape()[0];
  if (device == Device::cpu) {
    const std::int64_t now = *at.data<std::int64_t>();
    SENTEI_CHECK(ValueError, now >= 0 && now < rows, op, ": at must lie in [0, ", rows, "), got ",
                 now);
  }
  kernels::record_kernels(device).append(rows, total.data<float>(), loss.data<float>(),
                                         correct ? correct->data<std::int64_t>() : nullptr,
                                         log.data<double>(), at.data<std::int64_t>());
}

}  // namespace sentei::ops
