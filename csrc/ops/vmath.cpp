#include "ops/vmath.hpp"

#include "cpu/vmath_table.hpp"
#include "ops/elementwise.hpp"

namespace sentei::ops {
namespace {

const cpu::VmathKernels& tier_table(const std::string& isa) {
#if defined(SENTEI_TIER_V4)
  if (isa == "v4" && cpu::isa_supported(cpu::Isa::v4)) return cpu::v4::vmath_kernels;
#endif
#if defined(SENTEI_TIER_V3)
  if (isa == "v3" && cpu::isa_supported(cpu::Isa::v3)) return cpu::v3::vmath_kernels;
#endif
#if defined(SENTEI_TIER_V2)
  if (isa == "v2" && cpu::isa_supported(cpu::Isa::v2)) return cpu::v2::vmath_kernels;
#endif
#if defined(SENTEI_TIER_PLAIN)
  if (isa == "plain" && cpu::isa_supported(cpu::Isa::plain)) return cpu::plain::vmath_kernels;
#endif
  fail<ValueError>("vmath: isa must be a tier that was built and this CPU supports, got ", isa);
}

}  // namespace

void vmath(const std::string& name, const std::string& isa, const Tensor& x, const Tensor& y) {
  const char* op = "vmath";
  check_map(op, "x", x, "y", y);
  const Device device = device_of(op, {{"x", &x}, {"y", &y}});
  SENTEI_CHECK(DeviceError, device == Device::cpu, op, ": x must be on cpu, got ",
               device_name(device));
  const cpu::VmathKernels& k = tier_table(isa);
  const struct {
    const char* name;
    cpu::VmathKernels::Map map;
  } all[] = {{"exp", k.exp},          {"expm1", k.expm1}, {"log", k.log},
             {"log1p", k.log1p},      {"tanh", k.tanh},   {"logistic", k.logistic},
             {"softplus", k.softplus}};
  for (const auto& entry : all)
    if (name == entry.name) return entry.map(x.size(), x.data<float>(), y.data<float>());
  fail<ValueError>("vmath: name must be one of the functions of vmath.hpp, got ", name);
}

}  // namespace sentei::ops
