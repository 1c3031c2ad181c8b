#include "ops/dropout.hpp"

#include "kernels/dropout.hpp"
#include "ops/elementwise.hpp"

namespace sentei::ops {
namespace {

void check_draw(const char* op, const Tensor& rng, const Tensor& out, double keep,
                std::int64_t stream) {
  check_dtype(op, "rng", rng, DType::i64);
  check_shape(op, "rng", rng, Shape{2});
  check_apart(op, "the output", out, "rng", rng);
  SENTEI_CHECK(ValueError, keep > 0.0 && keep <= 1.0, op, ": keep must be in (0, 1], got ", keep);
  SENTEI_CHECK(ValueError, stream >= 0 && stream < (std::int64_t{1} << 32), op,
               ": stream must be in [0, 2^32), got ", stream);
}

// bits / 2^24 < keep for whole bits means bits < ceil(keep 2^24).
std::uint32_t threshold(double keep) {
  return static_cast<std::uint32_t>(std::ceil(keep * 16777216.0));
}

void check_factor(const char* op, double factor) {
  SENTEI_CHECK(ValueError, std::isfinite(factor), op, ": factor must be a finite number, got ",
               factor);
}

void dropout(const char* op, const char* x_name, const Tensor& x, const char* y_name,
             const Tensor& rng, const Tensor& y, double keep, std::int64_t stream, bool inverted) {
  const Device device = device_of(op, {{x_name, &x}, {"rng", &rng}, {y_name, &y}});
  check_map(op, x_name, x, y_name, y);
  check_draw(op, rng, y, keep, stream);
  kernels::dropout_kernels(device).forward(x.size(), x.data<float>(), rng.data<std::int64_t>(),
                                           y.data<float>(), static_cast<std::uint32_t>(stream),
                                           threshold(keep),
                                           inverted ? static_cast<float>(1.0 / keep) : 1.0f);
}

}  // namespace

void dropout_forward(const Tensor& x, const Tensor& rng, const Tensor& y, double keep,
                     std::int64_t stream, bool inverted) {
  dropout("dropout_forward", "x", x, "y", rng, y, keep, stream, inverted);
}

void dropout_backward(const Tensor& dy, const Tensor& rng, const Tensor& dx, double keep,
                      std::int64_t stream, bool inverted) {
  dropout("dropout_backward", "dy", dy, "dx", rng, dx, keep, stream, inverted);
}

void dropout_mask(const Tensor& rng, const Tensor& mask, double keep, std::int64_t stream) {
  const char* op = "dropout_mask";
  const Device device = device_of(op, {{"rng", &rng}, {"mask", &mask}});
  check_float(op, "mask", mask);
  check_draw(op, rng, mask, keep, stream);
  kernels::dropout_kernels(device).mask(mask.size(), rng.data<std::int64_t>(), mask.data<float>(),
                                        static_cast<std::uint32_t>(stream), threshold(keep));
}

void scale_forward(const Tensor& x, const Tensor& y, double factor) {
  const Device device = device_of("scale_forward", {{"x", &x}, {"y", &y}});
  check_map("scale_forward", "x", x, "y", y);
  check_factor("scale_forward", factor);
  kernels::dropout_kernels(device).scale(x.size(), x.data<float>(), y.data<float>(),
                                         static_cast<float>(factor));
}

void mask_multiply_forward(const Tensor& x, const Tensor& mask, const Tensor& y, double factor) {
  const Device device = device_of("mask_multiply_forward", {{"x", &x}, {"mask", &mask}, {"y", &y}});
  check_pair("mask_multiply_forward", "x", x, "mask", mask, "y", y);
  check_factor("mask_multiply_forward", factor);
  kernels::dropout_kernels(device).mask_multiply(x.size(), x.data<float>(), mask.data<float>(),
                                                 y.data<float>(), static_cast<float>(factor));
}

}  // namespace sentei::ops
