#include "ops/concat.hpp"

#include <string>

#include "kernels/concat.hpp"
#include "ops/checks.hpp"

namespace sentei::ops {
namespace {

Shape with_channels(Shape s, std::int64_t c) {
  s[s.rank - 1] = c;
  return s;
}

}  // namespace

void concat_forward(const std::vector<Tensor>& xs, const Tensor& y) {
  const char* op = "concat_forward";
  SENTEI_CHECK(ShapeError, !xs.empty(), op, ": xs must hold at least one tensor, got none");
  check_float(op, "y", y);
  std::vector<const float*> data;
  std::vector<std::int64_t> widths;
  std::int64_t C = 0;
  for (std::size_t i = 0; i < xs.size(); ++i) {
    const std::string name = "xs" + std::to_string(i);
    const Tensor& x = xs[i];
    check_float(op, name.c_str(), x);
    SENTEI_CHECK(ShapeError, x.shape().rank >= 1, op, ": ", name, " must have channels, got shape ",
                 x.shape());
    check_shape(op, name.c_str(), x, with_channels(xs[0].shape(), x.shape().back()));
    check_apart(op, "y", y, name.c_str(), x);
    device_of(op, {{"y", &y}, {name.c_str(), &x}});
    data.push_back(x.data<float>());
    widths.push_back(x.shape().back());
    C += x.shape().back();
  }
  check_shape(op, "y", y, with_channels(xs[0].shape(), C));
  if (y.size() == 0) return;
  kernels::concat_kernels(y.device())
      .forward(y.shape().rows(), static_cast<std::int64_t>(xs.size()), data.data(), widths.data(),
               y.data<float>());
}

void channel_split_forward(const Tensor& x, const Tensor& head, const Tensor& rest) {
  const char* op = "channel_split_forward";
  const Device device = device_of(op, {{"x", &x}, {"head", &head}, {"rest", &rest}});
  check_float(op, "x", x);
  check_float(op, "head", head);
  check_float(op, "rest", rest);
  SENTEI_CHECK(ShapeError, x.shape().rank >= 1, op, ": x must have channels, got shape ",
               x.shape());
  const std::int64_t C = x.shape().back(), width = head.shape().back();
  SENTEI_CHECK(ShapeError, width <= C, op, ": head must have at most ", C, " channels, got ",
               width);
  check_shape(op, "head", head, with_channels(x.shape(), width));
  check_shape(op, "rest", rest, with_channels(x.shape(), C - width));
  check_apart(op, "head", head, "x", x);
  check_apart(op, "rest", rest, "x", x);
  check_apart(op, "rest", rest, "head", head);
  if (x.size() == 0) return;
  kernels::concat_kernels(device).split(x.shape().rows(), C, width, x.data<float>(),
                                        head.data<float>(), rest.data<float>());
}

}  // namespace sentei::ops
