#include "ops/discriminant_penalty.hpp"

#include "kernels/discriminant_penalty.hpp"
#include "ops/elementwise.hpp"

namespace sentei::ops {
namespace {

void check_inputs(const char* op, Device device, const Tensor& y, const Tensor& labels, double lam,
                  const Tensor& workspace) {
  check_float(op, "y", y);
  check_rank(op, "y", y, 2);
  check_dtype(op, "labels", labels, DType::i64);
  check_shape(op, "labels", labels, Shape{y.shape()[0]});
  check_not_negative(op, "lam", static_cast<float>(lam));
  const std::int64_t classes = y.shape()[1];
  // On other devices a label out of range makes every result NaN.
  for (std::int64_t i = 0; device == Device::cpu && i < labels.size(); ++i) {
    const std::int64_t l = labels.data<std::int64_t>()[i];
    SENTEI_CHECK(ValueError, l >= 0 && l < classes, op, ": labels must be in [0, ", classes,
                 "), got ", l, " at ", i);
  }
  check_workspace(op, workspace, discriminant_penalty_workspace(classes));
}

}  // namespace

std::size_t discriminant_penalty_workspace(std::int64_t classes) {
  return static_cast<std::size_t>(classes * kernels::kDiscriminantScratch) * sizeof(double);
}

void discriminant_penalty_forward(const Tensor& y, const Tensor& labels, const Tensor& value,
                                  const Tensor& within, const Tensor& total, const Tensor& ratio,
                                  double lam, const Tensor& workspace) {
  const char* op = "discriminant_penalty_forward";
  const Device device = device_of(op, {{"y", &y},
                                       {"labels", &labels},
                                       {"value", &value},
                                       {"W", &within},
                                       {"T", &total},
                                       {"ratio", &ratio},
                                       {"workspace", &workspace}});
  check_inputs(op, device, y, labels, lam, workspace);
  const Shape per_class{y.shape()[1]};
  const struct {
    const char* name;
    const Tensor& t;
    const Shape want;
  } outs[] = {{"value", value, Shape{1}},
              {"W", within, per_class},
              {"T", total, per_class},
              {"ratio", ratio, per_class}};
  for (const auto& out : outs) {
    check_float(op, out.name, out.t);
    check_shape(op, out.name, out.t, out.want);
    check_apart(op, out.name, out.t, "y", y);
    check_apart(op, out.name, out.t, "labels", labels);
  }
  kernels::discriminant_penalty_kernels(device).forward(
      y.shape()[0], y.shape()[1], y.data<float>(), labels.data<std::int64_t>(), lam,
      value.data<float>(), within.data<float>(), total.data<float>(), ratio.data<float>(),
      workspace.data<double>());
}

void discriminant_penalty_backward(const Tensor& y, const Tensor& labels, const Tensor& dvalue,
                                   const Tensor& dy, double lam, const Tensor& workspace) {
  const char* op = "discriminant_penalty_backward";
  const Device device = device_of(op, {{"y", &y},
                                       {"labels", &labels},
                                       {"dvalue", &dvalue},
                                       {"dy", &dy},
                                       {"workspace", &workspace}});
  check_inputs(op, device, y, labels, lam, workspace);
  check_float(op, "dvalue", dvalue);
  check_shape(op, "dvalue", dvalue, Shape{1});
  check_float(op, "dy", dy);
  check_shape(op, "dy", dy, y.shape());
  check_same_or_apart(op, "dy", dy, "y", y);
  check_apart(op, "dy", dy, "dvalue", dvalue);
  kernels::discriminant_penalty_kernels(device).backward(
      y.shape()[0], y.shape()[1], y.data<float>(), labels.data<std::int64_t>(),
      dvalue.data<float>(), lam, dy.data<float>(), workspace.data<double>());
}

}  // namespace sentei::ops
