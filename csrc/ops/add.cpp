#include "ops/add.hpp"

#include "kernels/add.hpp"
#include "ops/checks.hpp"

namespace sentei::ops {

void add_forward(const Tensor& a, const Tensor& b, const Tensor& y, bool relu) {
  const char* op = "add_forward";
  const Device device = device_of(op, {{"a", &a}, {"b", &b}, {"y", &y}});
  check_float(op, "a", a);
  check_float(op, "b", b);
  check_float(op, "y", y);
  check_shape(op, "b", b, a.shape());
  check_shape(op, "y", y, a.shape());
  check_same_or_apart(op, "y", y, "a", a);
  check_same_or_apart(op, "y", y, "b", b);
  kernels::add_kernels(device).forward(a.size(), a.data<float>(), b.data<float>(), relu,
                                       y.data<float>());
}

}  // namespace sentei::ops
