// The contents page of sentei._cuda.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "cuda/devices.hpp"
#include "cuda/events.hpp"
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
          one["problem"] = info.problem;
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
  using sentei::cuda::Event;
  using nogil = py::call_guard<py::gil_scoped_release>;
  py::class_<Event>(m, "Event", "A point in time of the stream, for benchmarks.")
      .def(py::init<>())
      .def("record", &Event::record, "Set it behind all work given so far.")
      .def("milliseconds_since", &Event::milliseconds_since, py::arg("start"),
           "Wait until it has come; the time since another.", nogil());
  m.def("copy_milliseconds", &sentei::cuda::copy_milliseconds, py::arg("bytes"), py::arg("repeats"),
        "Times of plain copies on the device.", nogil());
  m.def("memory_info", &sentei::cuda::memory_info, "Free and all bytes of the device.");
  m.def("l2_bytes", &sentei::cuda::l2_bytes, "Size of the second-level cache.");
  m.def("stream", &sentei::cuda::stream_handle, "The stream, for other libraries.");
}
