#include "ops/semi_sync_adaptive.hpp"

#include <cmath>

#include "kernels/semi_sync_adaptive.hpp"
#include "ops/semi_sync_checks.hpp"

namespace sentei::ops {
namespace {

void check_share(const char* op, const char* name, double value) {
  SENTEI_CHECK(ValueError, value >= 0 && value < 1, op, ": ", name, " must lie in [0, 1), got ",
               value);
}

}  // namespace

void semi_sync_adaptive_update(const Tensor& w, const Tensor& dw, const Tensor& h, const Tensor* v,
                               const Tensor* count, const Tensor& rows, const Tensor& offsets,
                               const Tensor& group, const Tensor& lr, const std::string& rule,
                               double beta1, double beta2, double eps, bool eps_inside,
                               double weight_decay, double l2, bool compact,
                               const Tensor& workspace) {
  const char* op = "semi_sync_adaptive_update";
  const Device device = device_of(op, {{"w", &w},
                                       {"dw", &dw},
                                       {"h", &h},
                                       {"v", v},
                                       {"count", count},
                                       {"rows", &rows},
                                       {"offsets", &offsets},
                                       {"group", &group},
                                       {"lr", &lr},
                                       {"workspace", &workspace}});
  const bool adam = rule == "adam", rmsprop = rule == "rmsprop";
  SENTEI_CHECK(ValueError, adam || rmsprop || rule == "adagrad", op,
               ": rule must be 'adagrad', 'rmsprop' or 'adam', got '", rule, "'");
  SENTEI_CHECK(ValueError, adam == (v != nullptr) && adam == (count != nullptr), op,
               ": v and count must be given with adam and with nothing else, got rule '", rule,
               "'");
  check_float(op, "w", w);
  SENTEI_CHECK(ShapeError, w.shape().rank >= 1, op, ": w must have an axis of rows, got shape ",
               w.shape());
  const std::int64_t m = w.shape()[0];
  check_float(op, "dw", dw);
  Shape want = w.shape();
  if (compact && dw.shape().rank >= 1) want[0] = dw.shape()[0];
  check_shape(op, "dw", dw, want);
  check_float(op, "lr", lr);
  check_shape(op, "lr", lr, Shape{1});
  check_index_list(op, "rows", rows);
  check_shape(op, "rows", rows, Shape{m});
  check_index_list(op, "offsets", offsets);
  SENTEI_CHECK(ShapeError, offsets.size() >= 2, op,
               ": offsets must have one entry more than there are groups, got shape ",
               offsets.shape());
  check_counter(op, "group", group);
  struct Written {
    const char* name;
    const Tensor* tensor;
  };
  const Written written[] = {{"w", &w}, {"h", &h}, {"v", v}, {"count", count}};
  for (const Written& a : written) {
    if (!a.tensor) continue;
    if (a.tensor == count) {
      check_dtype(op, a.name, *count, DType::i64);
      check_shape(op, a.name, *count, Shape{m});
    } else {
      check_float(op, a.name, *a.tensor);
      check_shape(op, a.name, *a.tensor, w.shape());
    }
    check_apart(
        op, a.name, *a.tensor,
        {{"dw", &dw}, {"lr", &lr}, {"rows", &rows}, {"offsets", &offsets}, {"group", &group}});
    for (const Written& b : written) {
      if (&b == &a) break;
      if (b.tensor) check_apart(op, a.name, *a.tensor, b.name, *b.tensor);
    }
  }
  check_share(op, "beta1", beta1);
  check_share(op, "beta2", beta2);
  check_rates(op, 0, false, weight_decay, l2);
  SENTEI_CHECK(ValueError, static_cast<float>(eps) > 0 && std::isfinite(eps), op,
               ": eps must be positive, got ", eps);
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
  if (device == Device::cpu) {
    fill_place(op, r, group, place);
    for (std::int64_t i = 0; count && i < m; ++i)
      SENTEI_CHECK(ValueError, place[i] < 0 || count->data<std::int64_t>()[i] >= 0, op,
                   ": count must not be negative, got ", count->data<std::int64_t>()[i]);
  }
  const auto& k = kernels::semi_sync_adaptive_kernels(device);
  const float decay = static_cast<float>(weight_decay + 2 * l2), e = static_cast<float>(eps);
  float *const p = w.data<float>(), *const s = h.data<float>();
  const float *const g = dw.data<float>(), *const rate = lr.data<float>();
  if (adam)
    k.adam(r, p, g, s, v->data<float>(), count->data<std::int64_t>(), rate,
           {beta1, beta2, e, decay, eps_inside});
  else if (rmsprop)
    k.rmsprop(r, p, g, s, rate, static_cast<float>(beta1), static_cast<float>(1 - beta1), e, decay);
  else
    k.adagrad(r, p, g, s, rate, e, decay);
}

}  // namespace sentei::ops
