#include "ops/semi_sync_lazy.hpp"

#include "kernels/semi_sync_lazy.hpp"
#include "ops/linear_lazy.hpp"
#include "ops/semi_sync_checks.hpp"

namespace sentei::ops {
namespace {

std::int64_t width_of(const Tensor& w) { return w.shape()[0] ? w.size() / w.shape()[0] : 0; }

}  // namespace

void semi_sync_update_lazy(const Tensor& w, const Tensor& dw, const Tensor& v, const Tensor& coef,
                           const Tensor& rows, const Tensor& offsets, const Tensor& group,
                           const Tensor& lr, double momentum, double weight_decay, double l2,
                           const Tensor& workspace) {
  const char* op = "semi_sync_update_lazy";
  const Device device = device_of(op, {{"w", &w},
                                       {"dw", &dw},
                                       {"v", &v},
                                       {"coef", &coef},
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
  Shape want = w.shape();
  if (dw.shape().rank >= 1) want[0] = dw.shape()[0];
  check_shape(op, "dw", dw, want);
  check_float(op, "v", v);
  check_shape(op, "v", v, w.shape());
  check_index_list(op, "rows", rows);
  check_shape(op, "rows", rows, Shape{m});
  check_index_list(op, "offsets", offsets);
  SENTEI_CHECK(ShapeError, offsets.size() >= 2, op,
               ": offsets must have one entry more than there are groups, got shape ",
               offsets.shape());
  check_counter(op, "group", group);
  check_float(op, "coef", coef);
  check_shape(op, "coef", coef, Shape{offsets.size() - 1, 2});
  check_float(op, "lr", lr);
  check_shape(op, "lr", lr, Shape{1});
  check_apart(op, "v", v, "w", w);
  check_apart(op, "coef", coef, {{"w", &w}, {"v", &v}});
  for (const auto& [name, t] :
       {std::pair<const char*, const Tensor&>{"w", w}, {"v", v}, {"coef", coef}})
    check_apart(
        op, name, t,
        {{"dw", &dw}, {"lr", &lr}, {"rows", &rows}, {"offsets", &offsets}, {"group", &group}});
  check_rates(op, momentum, true, weight_decay, l2);
  auto* const place = reinterpret_cast<std::int32_t*>(
      check_workspace(op, workspace, static_cast<std::size_t>(device == Device::cpu ? 4 * m : 0)));

  const kernels::SemiSyncRows r{m,
                                width_of(w),
                                rows.data<std::int32_t>(),
                                offsets.data<std::int32_t>(),
                                offsets.size() - 1,
                                group.raw(),
                                group.dtype() == DType::i64,
                                true,
                                dw.shape()[0],
                                place};
  if (device == Device::cpu) fill_place(op, r, group, place);
  kernels::semi_sync_lazy_kernels(device).update(
      r, w.data<float>(), dw.data<float>(), v.data<float>(), coef.data<float>(), lr.data<float>(),
      static_cast<float>(momentum), static_cast<float>(weight_decay + 2 * l2));
}

void semi_sync_materialise(const Tensor& w, const Tensor& v, const Tensor& coef,
                           const Tensor& group_of) {
  const char* op = "semi_sync_materialise";
  const Device device =
      device_of(op, {{"w", &w}, {"v", &v}, {"coef", &coef}, {"group_of", &group_of}});
  const kernels::LazyWeight lazy = lazy_weight(op, w, v, coef, group_of, device);
  check_apart(op, "w", w, {{"v", &v}, {"coef", &coef}, {"group_of", &group_of}});
  check_apart(op, "v", v, {{"coef", &coef}, {"group_of", &group_of}});
  check_apart(op, "coef", coef, "group_of", group_of);
  kernels::semi_sync_lazy_kernels(device).materialise(w.shape()[0], width_of(w), w.data<float>(),
                                                      v.data<float>(), coef.data<float>(),
                                                      lazy.group_of, lazy.groups);
}

void semi_sync_lazy_weight(const Tensor& w, const Tensor& v, const Tensor& coef,
                           const Tensor& group_of, const Tensor& out) {
  const char* op = "semi_sync_lazy_weight";
  const Device device = device_of(
      op, {{"w", &w}, {"v", &v}, {"coef", &coef}, {"group_of", &group_of}, {"out", &out}});
  const kernels::LazyWeight lazy = lazy_weight(op, w, v, coef, group_of, device);
  check_float(op, "out", out);
  check_shape(op, "out", out, w.shape());
  check_apart(op, "out", out, {{"w", &w}, {"v", &v}, {"coef", &coef}, {"group_of", &group_of}});
  kernels::semi_sync_lazy_kernels(device).weight(w.shape()[0], width_of(w), lazy,
                                                 out.data<float>());
}

}  // namespace sentei::ops
