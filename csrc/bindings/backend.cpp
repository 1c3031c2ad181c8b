// Installing a device beside the CPU, and what a runner asks of it.
#include "core/backend.hpp"

#include <optional>

#include "bindings/bindings.hpp"

namespace sentei::bindings {
namespace {

// A recorded sequence of launches.
class Capture {
 public:
  Capture() { backend().capture_begin(); }
  Capture(const Capture&) = delete;
  Capture& operator=(const Capture&) = delete;
  ~Capture() {
    if (owner_ && (graph_ || open_)) owner_->forget(graph_);
  }
  void end() {
    SENTEI_CHECK(ValueError, open_, "Capture.end: the capture must still be open");
    open_ = false;
    graph_ = owner_->capture_end();
  }
  void replay() const {
    SENTEI_CHECK(ValueError, graph_, "Capture.replay: end() must come first");
    owner_->replay(graph_);
  }

 private:
  const Backend* owner_ = &backend();
  void* graph_ = nullptr;
  bool open_ = true;
};

}  // namespace

void bind_backend(py::module_& m) {
  m.def(
      "install_backend",
      [](const py::object& capsule) {
        const void* p = nullptr;
        if (!capsule.is_none()) {
          p = PyCapsule_GetPointer(capsule.ptr(), "sentei.backend");
          if (!p) throw py::error_already_set();
        }
        install_backend(static_cast<const Backend*>(p));
      },
      py::arg("capsule").none(true), "Make a backend the device \"cuda\"; None: there is none.");
  m.def(
      "installed_backend",
      []() -> std::optional<std::string> {
        const Backend* const b = installed_backend();
        return b ? std::optional<std::string>(b->name) : std::nullopt;
      },
      "Name of the installed backend (\"cuda\" or \"cusim\"), or None.");
  m.def(
      "synchronize",
      [] {
        if (const Backend* const b = installed_backend()) b->synchronize();
      },
      "Wait until the device has done all it was asked.", nogil());
  py::class_<Capture>(m, "Capture", "Launches recorded once and replayed at will.")
      .def(py::init<>(), "Begin to record instead of run.")
      .def("end", &Capture::end, "End the recording.")
      .def("replay", &Capture::replay, "Run what was recorded.", nogil());
}

}  // namespace sentei::bindings
