#include "ops/conv2d_packed.hpp"

#include "ops/checks.hpp"

namespace sentei::ops {
namespace {

using kernels::Conv2dPacking;

// A packed filter of exactly the size that this convolution reads.
std::byte* check_packed(const char* op, const Tensor& packed, const Conv2dPacking& packing) {
  check_dtype(op, "packed", packed, DType::u8);
  SENTEI_CHECK(ValueError, packing.bytes > 0, op,
               ": this convolution must have a packed filter, but none is used here");
  SENTEI_CHECK(ShapeError, packed.bytes() == packing.bytes, op, ": packed must have the ",
               packing.bytes, " bytes of this convolution (", packing.method, "), got ",
               packed.bytes());
  SENTEI_CHECK(ValueError, reinterpret_cast<std::uintptr_t>(packed.raw()) % 64 == 0, op,
               ": packed must be aligned to 64 bytes");
  return packed.raw();
}

void check_cpu(const char* op, Device device) {
  SENTEI_CHECK(DeviceError, device == Device::cpu, op, ": tensors must be on cpu, got ",
               device_name(device));
}

}  // namespace

Conv2dPacking conv2d_packing(const Conv2dGeometry& g, Precision precision, Device device) {
  if (device != Device::cpu) return {"", 0, 0};
  check_precision("conv2d_packing", precision, device);
  return cpu::conv2d_packed_kernels().packing(g, precision);
}

void conv2d_pack(const Tensor& w, const Tensor& packed, const Shape& x_shape,
                 const Conv2dAttrs& attrs) {
  const char* op = "conv2d_pack";
  const Device device = device_of(op, {{"w", &w}, {"packed", &packed}});
  check_cpu(op, device);
  check_float(op, "w", w);
  const Conv2dGeometry g = conv2d_check(x_shape, w.shape(), attrs);
  check_precision(op, attrs.precision, device);
  const auto& k = cpu::conv2d_packed_kernels();
  std::byte* const to = check_packed(op, packed, k.packing(g, attrs.precision));
  check_writable(op, "packed", packed);
  check_apart(op, "packed", packed, "w", w);
  k.pack(g, attrs.precision, w.data<float>(), to);
}

void conv2d_packed_forward(const Tensor& x, const Tensor& packed, const Shape& w_shape,
                           const Tensor* b, const Tensor& y, const Tensor* workspace,
                           const Conv2dAttrs& attrs, bool relu) {
  const char* op = "conv2d_packed_forward";
  const Device device = device_of(
      op, {{"x", &x}, {"packed", &packed}, {"b", b}, {"y", &y}, {"workspace", workspace}});
  check_cpu(op, device);
  check_float(op, "x", x);
  check_float(op, "y", y);
  const Conv2dGeometry g = conv2d_check(x.shape(), w_shape, attrs);
  check_precision(op, attrs.precision, device);
  check_shape(op, "y", y, {g.N, g.P, g.Q, g.K});
  if (b) {
    check_float(op, "b", *b);
    check_shape(op, "b", *b, {g.K});
  }
  check_apart(op, "y", y, {{"x", &x}, {"packed", &packed}, {"b", b}});
  const auto& k = cpu::conv2d_packed_kernels();
  const Conv2dPacking packing = k.packing(g, attrs.precision);
  const std::byte* const from = check_packed(op, packed, packing);
  k.forward(g, attrs.precision, x.data<float>(), from, b ? b->data<float>() : nullptr, relu,
            y.data<float>(), check_workspace(op, workspace, packing.workspace));
}

}  // namespace sentei::ops
