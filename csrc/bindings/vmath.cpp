// The vector functions of every tier, for tests of their accuracy.
#include <cstring>

#include "bindings/bindings.hpp"
#include "cpu/vmath_table.hpp"
#include "ops/checks.hpp"

namespace sentei::bindings {
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

void vmath(const std::string& name, const std::string& isa, const Tensor& x, const Tensor& y) {
  const char* op = "vmath";
  ops::check_float(op, "x", x);
  ops::check_float(op, "y", y);
  ops::check_shape(op, "y", y, x.shape());
  ops::check_same_or_apart(op, "y", y, "x", x);
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

}  // namespace

void bind_vmath(py::module_& m) {
  m.def("vmath", &vmath, py::arg("name"), py::arg("isa"), py::arg("x"), py::arg("y"),
        "A vector function of one tier, for tests.", nogil());
}

}  // namespace sentei::bindings
