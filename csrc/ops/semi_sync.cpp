#include "ops/semi_sync.hpp"

#include <limits>

#include "ops/semi_sync_checks.hpp"

namespace sentei::ops {

void semi_sync_update(const Tensor& w, const Tensor& dw, const Tensor* v, const Tensor& rows,
                      const Tensor& offsets, const Tensor& group, const Tensor& lr, double momentum,
                      double weight_decay, double l2, bool compact, const Tensor& workspace) {
  const char* op = "semi_sync_update";
  const Device device = device_of(op, {{"w", &w},
                                       {"dw", &dw},
                                       {"v", v},
                                       {"rows", &rows},
                                       {"offsets", &offsets},
                                       {"group", &group},
                                       {"lr", &lr},
                                       {"workspace", &workspace}});
  check_float(op, "w", w);
  SENTEI_CHECK(ShapeError, w.shape().rank >= 1, op, ": w must have an axis of rows, got shape ",
               w.shape());
  const std::int64_t m = w.shape()[0];
  check_float(op, "dw", dw);
  if (compact) {
    Shape want = w.shape();
    if (dw.shape().rank >= 1) want[0] = dw.shape()[0];
    check_shape(op, "dw", dw, want);
  } else {
    check_shape(op, "dw", dw, w.shape());
  }
  check_float(op, "lr", lr);
  check_shape(op, "lr", lr, Shape{1});
  check_apart(op, "w", w, "dw", dw);
  check_apart(op, "w", w, {{"lr", &lr}, {"rows", &rows}});
  if (v) {
    check_float(op, "v", *v);
    check_shape(op, "v", *v, w.shape());
    check_apart(op, "v", *v, "w", w);
    check_apart(op, "v", *v, "dw", dw);
    check_apart(op, "v", *v, {{"lr", &lr}, {"rows", &rows}});
  }
  check_rates(op, momentum, v != nullptr, weight_decay, l2);
  check_index_list(op, "rows", rows);
  check_shape(op, "rows", rows, Shape{m});
  check_index_list(op, "offsets", offsets);
  SENTEI_CHECK(ShapeError, offsets.size() >= 2, op,
               ": offsets must have one entry more than there are groups, got shape ",
               offsets.shape());
  check_counter(op, "group", group);
  auto* const place = reinterpret_cast<std::int32_t*>(
      check_workspace(op, workspace, static_cast<std::size_t>(device == Device::cpu ? 4 * m : 0)));

  const kernels::SemiSyncRows r{m,
                                m ? w.size() / m : 0,
                                rows.data<std::int32_t>(),
                                offsets.data<std::int32_t>(),
                                offsets.size() - 1,
                                group.raw(),
                                group.dtype() == DType::i64,
                                compact,
                                compact ? dw.shape()[0] : m,
                                place};
  if (device == Device::cpu) fill_place(op, r, group, place);
  kernels::semi_sync_kernels(device).update(
      r, w.data<float>(), dw.data<float>(), v ? v->data<float>() : nullptr, lr.data<float>(),
      static_cast<float>(momentum), static_cast<float>(weight_decay + 2 * l2));
}

void counter_advance(const Tensor& counter, std::int64_t modulo) {
  const char* op = "counter_advance";
  check_counter(op, "counter", counter);
  check_writable(op, "counter", counter);
  SENTEI_CHECK(ValueError, modulo >= 0, op, ": modulo must be at least 0, got ", modulo);
  const bool wide = counter.dtype() == DType::i64;
  if (counter.device() == Device::cpu) {
    const std::int64_t now = counter_value(counter);
    const std::int64_t most =
        wide ? std::numeric_limits<std::int64_t>::max() : std::numeric_limits<std::int32_t>::max();
    SENTEI_CHECK(ValueError, now >= 0 && now < most, op, ": counter must lie in [0, ", most,
                 "), got ", now);
  }
  kernels::semi_sync_kernels(counter.device()).advance(counter.raw(), wide, modulo);
}

}  // namespace sentei::ops
