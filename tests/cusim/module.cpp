// The contents page of sentei._cusim.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <utility>

#include "cusim.hpp"
#include "runtime.hpp"

namespace py = pybind11;

PYBIND11_MODULE(_cusim, m) {
  m.doc() = "The CUDA kernels of sentei on an emulator, for tests.";
  m.def(
      "backend",
      [] {
        return py::capsule(static_cast<const void*>(&cusim::emulated_backend()), "sentei.backend");
      },
      "What sentei._core.install_backend takes.");
  m.def(
      "orders", [] { return std::exchange(cusim::orders(), {}); },
      "Streams put in order with ours since the last call: (stream, whether it waits for ours).");
  m.def(
      "configure",
      [](const std::string& order, const std::string& copies, std::uint64_t seed, int threads) {
        cusim::Config& c = cusim::cfg();
        c.order = order == "forward"   ? cusim::FORWARD
                  : order == "reverse" ? cusim::REVERSE
                                       : cusim::RANDOM;
        c.async = copies == "eager" ? cusim::EAGER : copies == "lazy" ? cusim::LAZY : cusim::MIXED;
        c.seed = seed;
        c.threads = threads;
      },
      py::arg("order") = "random", py::arg("copies") = "lazy", py::arg("seed") = 1,
      py::arg("threads") = 1,
      "order of threads: forward, reverse or random; when cp.async lands: eager, lazy or mixed.");
}
