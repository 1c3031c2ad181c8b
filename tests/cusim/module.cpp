// The contents page of sentei._cusim.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <utility>

#include "config.hpp"
#include "core/check.hpp"
#include "probes.hpp"
#include "runtime.hpp"

namespace py = pybind11;

namespace {

template <class Enum>
Enum one_of(const char* what, const std::string& name, std::initializer_list<const char*> names) {
  int i = 0;
  for (const char* n : names) {
    if (name == n) return static_cast<Enum>(i);
    ++i;
  }
  sentei::fail<sentei::ValueError>("configure: ", what, " must be a known name, got ", name);
}

void configure(const std::string& order, const std::string& copies, std::uint64_t seed) {
  cusim::Config& c = cusim::config();
  c.order = one_of<cusim::Order>("order", order, {"forward", "reverse", "random"});
  c.copies = one_of<cusim::Copies>("copies", copies, {"eager", "lazy", "mixed"});
  c.seed = seed;
}

py::dict configuration() {
  const cusim::Config& c = cusim::config();
  py::dict d;
  d["order"] = std::array{"forward", "reverse", "random"}[static_cast<std::size_t>(c.order)];
  d["copies"] = std::array{"eager", "lazy", "mixed"}[static_cast<std::size_t>(c.copies)];
  d["seed"] = c.seed;
  return d;
}

using Floats = py::array_t<float, py::array::c_style | py::array::forcecast>;

Floats run_probe(const std::string& name, const Floats& x, py::ssize_t outputs) {
  Floats y(outputs);
  cusim::run_probe(name, x.data(), x.size(), y.mutable_data(), outputs);
  return y;
}

}  // namespace

PYBIND11_MODULE(_cusim, m) {
  m.doc() = "The CUDA kernels of sentei on an emulator, for tests.";
  py::register_exception_translator([](std::exception_ptr p) {
    try {
      if (p) std::rethrow_exception(p);
    } catch (const sentei::DeviceError& e) {
      const py::object type = py::module_::import("sentei.errors").attr("DeviceError");
      PyErr_SetString(type.ptr(), e.what());
    }
  });
  m.def(
      "backend",
      [] {
        return py::capsule(static_cast<const void*>(&cusim::emulated_backend()), "sentei.backend");
      },
      "What sentei._core.install_backend takes.");
  m.def(
      "orders", [] { return std::exchange(cusim::orders(), {}); },
      "Streams put in order with ours since the last call: (stream, whether it waits for ours).");
  m.def("configure", &configure, py::arg("order") = "random", py::arg("copies") = "lazy",
        py::arg("seed") = 1,
        "order of threads: forward, reverse or random; when cp.async lands: eager, lazy or mixed.");
  m.def("configuration", &configuration, "The arguments of configure as they are now.");
  m.def("run_probe", &run_probe, py::arg("name"), py::arg("x"), py::arg("outputs"),
        "Run one of the small kernels that test the emulator itself (probes.cu, wrong.cu).");
}
