#include "ops/gather_channels.hpp"

#include "kernels/gather_channels.hpp"
#include "ops/semi_sync_checks.hpp"

namespace sentei::ops {

void gather_channels_forward(const Tensor& x, const Tensor& rows, const Tensor& offsets,
                             const Tensor& group, const Tensor& y) {
  const char* op = "gather_channels_forward";
  const Device device = device_of(
      op, {{"x", &x}, {"rows", &rows}, {"offsets", &offsets}, {"group", &group}, {"y", &y}});
  check_float(op, "x", x);
  check_float(op, "y", y);
  SENTEI_CHECK(ShapeError, x.shape().rank >= 1 && y.shape().rank >= 1, op,
               ": x must have channels, got shape ", x.shape());
  const std::int64_t C = x.shape().back(), K = y.shape().back();
  Shape want = x.shape();
  want[want.rank - 1] = K;
  check_shape(op, "y", y, want);
  check_apart(op, "y", y, "x", x);
  check_index_list(op, "rows", rows);
  check_shape(op, "rows", rows, Shape{C});
  check_index_list(op, "offsets", offsets);
  SENTEI_CHECK(ShapeError, offsets.size() >= 2, op,
               ": offsets must have one entry more than there are groups, got shape ",
               offsets.shape());
  check_counter(op, "group", group);
  const kernels::SemiSyncRows r{C,
                                1,
                                rows.data<std::int32_t>(),
                                offsets.data<std::int32_t>(),
                                offsets.size() - 1,
                                group.raw(),
                                group.dtype() == DType::i64,
                                true,
                                K,
                                nullptr};
  if (device == Device::cpu) {
    const std::int64_t active = counter_value(group);
    SENTEI_CHECK(ValueError, active >= 0 && active < r.groups, op, ": group must lie in [0, ",
                 r.groups, "), got ", active);
    const std::int64_t begin = r.offsets[active], end = r.offsets[active + 1];
    SENTEI_CHECK(ValueError, 0 <= begin && begin <= end && end <= C, op,
                 ": offsets must rise within [0, ", C, "], got ", begin, " to ", end, " for group ",
                 active);
    SENTEI_CHECK(ShapeError, end - begin <= K, op, ": y must have a channel for each of the ",
                 end - begin, " active ones, got ", K);
    for (std::int64_t k = begin; k < end; ++k)
      SENTEI_CHECK(ValueError, r.rows[k] >= 0 && r.rows[k] < C, op, ": rows must lie in [0, ", C,
                   "), got ", r.rows[k]);
  }
  if (y.size() == 0) return;
  kernels::gather_channels_kernels(device).forward(r, y.shape().rows(), x.data<float>(),
                                                   y.data<float>());
}

}  // namespace sentei::ops
