// Threads, instruction sets, what was built.
#include "bindings/bindings.hpp"
#include "build_info.hpp"
#include "core/parallel.hpp"
#include "core/precision.hpp"
#include "core/rng.hpp"
#include "cpu/bf16.hpp"
#include "cpu/isa.hpp"

namespace sentei::bindings {
namespace {

py::dict build_info() {
  py::dict d;
  d["version"] = SENTEI_VERSION;
  d["compiler"] = SENTEI_COMPILER;
  d["build_type"] = SENTEI_BUILD_TYPE;
  d["sanitize"] = SENTEI_SANITIZE_NAME;
  d["cuda_built"] = static_cast<bool>(SENTEI_CUDA_BUILT);
  d["cuda_archs"] = SENTEI_CUDA_ARCHS;
  d["cuda_reason"] = SENTEI_CUDA_REASON;
  return d;
}

py::dict isa_info() {
  py::dict d;
  d["active"] = cpu::isa_name(cpu::active_isa());
  py::list built, supported;
  for (cpu::Isa isa : {cpu::Isa::plain, cpu::Isa::v2, cpu::Isa::v3, cpu::Isa::v4}) {
    if (cpu::isa_built(isa)) built.append(cpu::isa_name(isa));
    if (cpu::isa_supported(isa)) supported.append(cpu::isa_name(isa));
  }
  d["built"] = built;
  d["supported"] = supported;
  return d;
}

py::dict bfloat16_info() {
  py::dict d;
  d["active"] = cpu::bf16_unit_name(cpu::bf16_unit());
  py::list built, supported;
  for (cpu::Bf16Unit unit : {cpu::Bf16Unit::portable, cpu::Bf16Unit::avx512, cpu::Bf16Unit::amx}) {
    if (cpu::bf16_unit_built(unit)) built.append(cpu::bf16_unit_name(unit));
    if (cpu::bf16_unit_supported(unit)) supported.append(cpu::bf16_unit_name(unit));
  }
  d["built"] = built;
  d["supported"] = supported;
  return d;
}

std::vector<std::string> precisions(Device device) {
  std::vector<std::string> names;
  for (const auto& f : kPrecisions)
    if (precision_on(f.precision, device)) names.emplace_back(f.name);
  return names;
}

void set_threads(int n) {
  SENTEI_CHECK(ValueError, n >= 1 && n <= 4096, "set_threads: n must be between 1 and 4096, got ",
               n);
  set_thread_count(n);
}

std::vector<std::uint32_t> philox_words(std::uint64_t seed, std::uint32_t stream,
                                        std::uint32_t step, std::uint64_t index) {
  const Philox4 r = philox(seed, stream, step, index);
  return {r.v[0], r.v[1], r.v[2], r.v[3]};
}

}  // namespace

void bind_runtime(py::module_& m) {
  m.attr("__version__") = SENTEI_VERSION;
  m.def("build_info", &build_info, "What was compiled, and why a part is missing.");
  m.def("isa_info", &isa_info, "Instruction-set tiers: active, built, supported by this CPU.");
  m.def("precisions", &precisions, py::arg("device"), "How products can be computed there.");
  m.def("bfloat16_info", &bfloat16_info,
        "Units that multiply bfloat16 on the CPU: active, built, supported here.");
  m.def(
      "set_bfloat16_unit", [](const std::string& name) { cpu::set_bf16_unit(name.c_str()); },
      py::arg("name"), "Multiply bfloat16 on another unit; for tests.");
  m.def("threads", &thread_count, "Threads that kernels use.");
  m.def(
      "threads_source", [] { return std::string(thread_count_source()); },
      "Where the number of threads comes from.");
  m.def("set_threads", &set_threads, py::arg("n"), "Set the number of threads.");
  m.def("default_threads", &default_thread_count,
        "Threads allowed by environment, affinity and cgroup.");
  m.def("philox", &philox_words, py::arg("seed"), py::arg("stream"), py::arg("step"),
        py::arg("index"), "Four 32-bit words of Philox 4x32-10.");
}

}  // namespace sentei::bindings
