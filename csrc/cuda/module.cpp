// The contents page of sentei._cuda.
#include <pybind11/pybind11.h>

#include "cuda/devices.hpp"
#include "cuda/runtime.hpp"

namespace py = pybind11;

PYBIND11_MODULE(_cuda, m) {
  m.doc() = "CUDA part of sentei; imports on machines without a driver.";
  m.def(
      "query_devices",
      [] {
        const sentei::cuda::Devices d = sentei::cuda::query_devices();
        py::dict out;
        out["driver_version"] = d.driver_version;
        out["runtime_version"] = d.runtime_version;
        out["error"] = d.error;
        py::list devices;
        for (const auto& info : d.list) {
          py::dict one;
          one["index"] = info.index;
          one["name"] = info.name;
          one["compute_capability"] = std::to_string(info.major) + "." + std::to_string(info.minor);
          one["memory_bytes"] = info.memory_bytes;
          one["usable"] = info.usable;
          devices.append(one);
        }
        out["devices"] = devices;
        return out;
      },
      "Driver, runtime and devices; never raises.");
  m.def(
      "backend",
      [] {
        return py::capsule(static_cast<const void*>(&sentei::cuda::cuda_backend()),
                           "sentei.backend");
      },
      "What sentei._core.install_backend takes.");
}
