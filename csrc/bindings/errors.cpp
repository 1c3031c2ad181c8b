// C++ errors become the classes of sentei.errors.
#include "bindings/bindings.hpp"

namespace sentei::bindings {
namespace {

void raise(const char* kind, const char* message) {
  static const auto* errors = new py::module_(py::module_::import("sentei.errors"));
  PyErr_SetString(py::object(errors->attr(kind)).ptr(), message);
}

}  // namespace

void bind_errors(py::module_&) {
  py::module_::import("sentei.errors");  // now, when a failure can still be told
  py::register_exception_translator([](std::exception_ptr p) {
    try {
      if (p) std::rethrow_exception(p);
    } catch (const ShapeError& e) {
      raise("ShapeError", e.what());
    } catch (const DTypeError& e) {
      raise("DTypeError", e.what());
    } catch (const DeviceError& e) {
      raise("DeviceError", e.what());
    } catch (const ValueError& e) {
      PyErr_SetString(PyExc_ValueError, e.what());
    }
  });
}

}  // namespace sentei::bindings
