#include "ops/gather_batch.hpp"

#include <limits>

#include "kernels/gather_batch.hpp"
#include "ops/checks.hpp"

namespace sentei::ops {

void gather_batch_forward(const Tensor& images, const Tensor& plan, const Tensor& scale,
                          const Tensor& shift, const Tensor& x) {
  const char* op = "gather_batch_forward";
  const Device device = device_of(
      op, {{"images", &images}, {"plan", &plan}, {"scale", &scale}, {"shift", &shift}, {"x", &x}});
  SENTEI_CHECK(DTypeError, images.dtype() == DType::u8 || images.dtype() == DType::f32, op,
               ": images must be uint8 or float32, got ", images.dtype());
  check_dtype(op, "plan", plan, DType::i32);
  check_float(op, "scale", scale);
  check_float(op, "shift", shift);
  check_float(op, "x", x);
  check_rank(op, "images", images, 4);
  check_rank(op, "plan", plan, 2);
  const Shape& s = images.shape();
  const std::int64_t b = plan.shape()[0];
  check_shape(op, "plan", plan, Shape{b, 4});
  check_shape(op, "scale", scale, Shape{s[3]});
  check_shape(op, "shift", shift, Shape{s[3]});
  check_shape(op, "x", x, Shape{b, s[1], s[2], s[3]});
  const std::int64_t n = s[0], size = s[1] * s[2] * s[3];
  SENTEI_CHECK(ShapeError, size <= std::numeric_limits<std::int32_t>::max(), op,
               ": images must have at most 2^31 - 1 elements each, got shape ", s);
  check_apart(op, "x", x,
              {{"images", &images}, {"plan", &plan}, {"scale", &scale}, {"shift", &shift}});
  if (b == 0 || size == 0) return;
  if (device == Device::cpu) {  // on a device such a row gives NaN
    const std::int32_t* const p = plan.data<std::int32_t>();
    for (std::int64_t i = 0; i < b; ++i)
      SENTEI_CHECK(ValueError, p[4 * i] >= 0 && p[4 * i] < n, op, ": plan must name images in [0, ",
                   n, "), got ", p[4 * i]);
  }
  const int h = static_cast<int>(s[1]), w = static_cast<int>(s[2]), c = static_cast<int>(s[3]);
  const kernels::GatherBatchKernels& k = kernels::gather_batch_kernels(device);
  const auto call = [&](auto gather, const auto* pixels) {
    gather(n, b, h, w, c, pixels, plan.data<std::int32_t>(), scale.data<float>(),
           shift.data<float>(), x.data<float>());
  };
  if (images.dtype() == DType::u8)
    call(k.bytes, images.data<std::uint8_t>());
  else
    call(k.floats, images.data<float>());
}

}  // namespace sentei::ops
