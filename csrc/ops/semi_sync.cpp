#include "ops/semi_sync.hpp"

#include <cmath>
#include <limits>

#include "kernels/semi_sync.hpp"
#include "ops/checks.hpp"

namespace sentei::ops {
namespace {

void check_counter(const char* op, const char* name, const Tensor& t) {
  SENTEI_CHECK(DTypeError, t.dtype() == DType::i32 || t.dtype() == DType::i64, op, ": ", name,
               " must be int32 or int64, got ", t.dtype());
  check_shape(op, name, t, Shape{1});
}

std::int64_t counter_value(const Tensor& t) {
  return t.dtype() == DType::i32 ? *t.data<std::int32_t>() : *t.data<std::int64_t>();
}

void check_index_list(const char* op, const char* name, const Tensor& t) {
  check_dtype(op, name, t, DType::i32);
  check_rank(op, name, t, 1);
}

// Per row its index in the active group, or -1, once all indices are seen to be in range.
void fill_place(const char* op, const kernels::SemiSyncRows& r, const Tensor& group,
                std::int32_t* place) {
  const std::int64_t m = r.count, active = counter_value(group);
  SENTEI_CHECK(ValueError, active >= 0 && active < r.groups, op, ": group must lie in [0, ",
               r.groups, "), got ", active);
  const std::int64_t begin = r.offsets[active], end = r.offsets[active + 1];
  SENTEI_CHECK(ValueError, 0 <= begin && begin <= end && end <= m, op,
               ": offsets must rise within [0, ", m, "], got ", begin, " to ", end, " for group ",
               active);
  SENTEI_CHECK(ShapeError, end - begin <= r.dw_rows, op, ": dw must have a row for each of the ",
               end - begin, " active rows, got ", r.dw_rows);
  const std::int32_t* list = r.rows + begin;
  for (std::int64_t i = 0; i < m; ++i) place[i] = -1;
  for (std::int64_t k = 0; k < end - begin; ++k) {
    const std::int64_t row = list[k];
    SENTEI_CHECK(ValueError, row >= 0 && row < m, op, ": rows must lie in [0, ", m, "), got ", row);
    // Two tasks would write it at once.
    SENTEI_CHECK(ValueError, place[row] < 0, op, ": rows must list every row once, got ", row,
                 " twice");
    place[row] = static_cast<std::int32_t>(k);
  }
}

}  // namespace

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
  SENTEI_CHECK(ValueError, momentum >= 0 && momentum < 1, op, ": momentum must lie in [0, 1), got ",
               momentum);
  SENTEI_CHECK(ValueError, v || momentum == 0, op, ": momentum must be 0 without v, got ",
               momentum);
  SENTEI_CHECK(ValueError, weight_decay >= 0 && std::isfinite(weight_decay), op,
               ": weight_decay must be at least 0 and finite, got ", weight_decay);
  SENTEI_CHECK(ValueError, l2 >= 0 && std::isfinite(l2), op,
               ": l2 must be at least 0 and finite, got ", l2);
  check_index_list(op, "rows", rows);
  check_shape(op, "rows", rows, Shape{m});
  check_index_list(op, "offsets", offsets);
  SENTEI_CHECK(ShapeError, offsets.size() >= 2, op,
               ": offsets must have one entry more than there are groups, got shape ",
               offsets.shape());
  check_counter(op, "group", group);
  check_dtype(op, "workspace", workspace, DType::u8);
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
