#include "ops/channel_scale.hpp"

#include "kernels/channel_scale.hpp"
#include "ops/checks.hpp"

namespace sentei::ops {
namespace {

std::byte* check(const char* op, Device device, const Tensor& x, const Tensor& m,
                 const Tensor& workspace) {
  check_float(op, "x", x);
  SENTEI_CHECK(ShapeError, x.shape().rank >= 1, op, ": x must have channels, got shape ",
               x.shape());
  check_float(op, "m", m);
  check_shape(op, "m", m, Shape{x.shape().back()});
  return check_workspace(op, workspace,
                         static_cast<std::size_t>(channel_scale_workspace(x.shape(), device)));
}

}  // namespace

std::int64_t channel_scale_workspace(const Shape& x, Device device) {
  return static_cast<std::int64_t>(
      kernels::channel_scale_kernels(device).workspace(x.rows(), x.back()));
}

void channel_scale_forward(const Tensor& x, const Tensor& m, const Tensor& y,
                           const Tensor& workspace) {
  const char* op = "channel_scale_forward";
  const Device device = device_of(op, {{"x", &x}, {"m", &m}, {"y", &y}, {"workspace", &workspace}});
  std::byte* const work = check(op, device, x, m, workspace);
  check_float(op, "y", y);
  check_shape(op, "y", y, x.shape());
  check_same_or_apart(op, "y", y, "x", x);
  check_apart(op, "y", y, "m", m);
  if (x.size() == 0) return;
  kernels::channel_scale_kernels(device).forward(
      x.shape().rows(), x.shape().back(), x.data<float>(), m.data<float>(), y.data<float>(), work);
}

void channel_scale_backward(const Tensor& dy, const Tensor& x, const Tensor& m, const Tensor& dx,
                            const Tensor& dm, const Tensor& workspace) {
  const char* op = "channel_scale_backward";
  const Device device = device_of(
      op, {{"dy", &dy}, {"x", &x}, {"m", &m}, {"dx", &dx}, {"dm", &dm}, {"workspace", &workspace}});
  std::byte* const work = check(op, device, x, m, workspace);
  check_float(op, "dy", dy);
  check_shape(op, "dy", dy, x.shape());
  check_float(op, "dx", dx);
  check_shape(op, "dx", dx, x.shape());
  check_float(op, "dm", dm);
  check_shape(op, "dm", dm, m.shape());
  check_same_or_apart(op, "dx", dx, "dy", dy);
  check_same_or_apart(op, "dx", dx, "x", x);
  check_apart(op, "dx", dx, "m", m);
  check_apart(op, "dm", dm, {{"dx", &dx}, {"dy", &dy}, {"x", &x}, {"m", &m}});
  if (x.shape().back() == 0) return;
  kernels::channel_scale_kernels(device).backward(
      x.shape().rows(), x.shape().back(), dy.data<float>(), x.data<float>(), m.data<float>(),
      dx.data<float>(), dm.data<float>(), work);
}

}  // namespace sentei::ops
