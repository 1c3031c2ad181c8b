// The Tensor class: from and to NumPy, views, poison.
#include <pybind11/numpy.h>

#include <cstring>

#include "bindings/bindings.hpp"

namespace sentei::bindings {

Shape shape_from(const std::vector<std::int64_t>& dims) {
  SENTEI_CHECK(ShapeError, dims.size() <= Shape::kMaxRank,
               "Tensor: shape must have at most 4 axes, got ", dims.size());
  Shape s;
  for (std::int64_t d : dims) s[s.rank++] = d;
  return s;
}

std::vector<std::int64_t> dims_of(const Shape& shape) {
  return {shape.dims.begin(), shape.dims.begin() + shape.rank};
}

DType dtype_from(const std::string& name) {
  for (DType t : {DType::f32, DType::f64, DType::i32, DType::i64, DType::u8})
    if (name == dtype_name(t)) return t;
  fail<DTypeError>("Tensor: dtype must be float32, float64, int32, int64 or uint8, got ", name);
}

// The CUDA module installs itself when it is first asked for.
void make_ready(Device device) {
  if (device == Device::cuda && !installed_backend())
    py::module_::import("sentei.device").attr("require")("cuda");
}

namespace {

py::tuple shape_tuple(const Tensor& t) {
  py::tuple out(static_cast<std::size_t>(t.shape().rank));
  for (int i = 0; i < t.shape().rank; ++i) out[static_cast<std::size_t>(i)] = t.shape()[i];
  return out;
}

// By kind and size: asking NumPy for the name runs Python code, and this is done several times a
// step.
DType array_dtype(const char* what, const py::array& a) {
  const py::dtype given = a.dtype();
  const char kind = given.kind();
  for (DType t : {DType::f32, DType::f64, DType::i32, DType::i64, DType::u8})
    if (static_cast<std::size_t>(given.itemsize()) == dtype_size(t) &&
        kind == (t == DType::u8                       ? 'u'
                 : t == DType::f32 || t == DType::f64 ? 'f'
                                                      : 'i')) {
      SENTEI_CHECK(DTypeError, given.byteorder() == '=' || given.byteorder() == '|', what,
                   ": the array must be in native byte order");
      return t;
    }
  const std::string name = py::str(given.attr("name"));
  fail<DTypeError>(what, ": dtype must be float32, float64, int32, int64 or uint8, got ", name);
}

// A Tensor on the array's own memory, which it keeps alive; read-only if the array is.
Tensor borrow(py::array array) {
  const DType dtype = array_dtype("Tensor.borrow", array);
  SENTEI_CHECK(ValueError, (array.flags() & py::array::c_style) != 0,
               "Tensor.borrow: the array must be C-contiguous (np.ascontiguousarray makes it so)");
  Shape shape = shape_from({array.shape(), array.shape() + array.ndim()});
  auto storage = std::make_shared<Storage>();
  storage->data = static_cast<std::byte*>(const_cast<void*>(array.data()));
  storage->bytes = static_cast<std::size_t>(array.nbytes());
  storage->read_only = !array.writeable();
  SENTEI_CHECK(ValueError, reinterpret_cast<std::uintptr_t>(storage->data) % dtype_size(dtype) == 0,
               "Tensor.borrow: the array must be aligned");
  auto* keep = new py::object(std::move(array));
  storage->release = [keep] {
    py::gil_scoped_acquire gil;
    delete keep;
  };
  return Tensor(std::move(storage), 0, shape, dtype);
}

py::array view_array(const Tensor& t, const py::object& self) {
  SENTEI_CHECK(DeviceError, t.device() == Device::cpu,
               "Tensor.__array__: the tensor must be on cpu, got ", device_name(t.device()),
               " (numpy() copies it)");
  py::array a(py::dtype(dtype_name(t.dtype())), dims_of(t.shape()), t.raw(), self);
  if (t.read_only()) a.attr("flags").attr("writeable") = false;
  return a;
}

void copy_from(const Tensor& t, const py::array& source) {
  SENTEI_CHECK(
      ValueError, !t.read_only(),
      "Tensor.copy_from: the tensor must be writable, got the memory of a read-only array");
  const DType dtype = array_dtype("Tensor.copy_from", source);
  SENTEI_CHECK(DTypeError, dtype == t.dtype(), "Tensor.copy_from: source must be ", t.dtype(),
               ", got ", dtype);
  const Shape shape = shape_from({source.shape(), source.shape() + source.ndim()});
  SENTEI_CHECK(ShapeError, shape == t.shape(), "Tensor.copy_from: source must have shape ",
               t.shape(), ", got ", shape);
  const py::array dense = py::array::ensure(source, py::array::c_style);
  if (!dense) throw std::bad_alloc();
  if (t.device() == Device::cuda) return backend().upload(t.raw(), dense.data(), t.bytes());
  std::memmove(t.raw(), dense.data(), t.bytes());  // source may be a view of this very tensor
}

void copy_tensor(const Tensor& t, const Tensor& source) {
  SENTEI_CHECK(
      ValueError, !t.read_only(),
      "Tensor.copy_from: the tensor must be writable, got the memory of a read-only array");
  SENTEI_CHECK(DTypeError, source.dtype() == t.dtype(), "Tensor.copy_from: source must be ",
               t.dtype(), ", got ", source.dtype());
  SENTEI_CHECK(ShapeError, source.shape() == t.shape(), "Tensor.copy_from: source must have shape ",
               t.shape(), ", got ", source.shape());
  t.copy_bytes(source);
}

std::string text(const Tensor& t) {
  std::ostringstream out;
  out << "Tensor(shape=" << t.shape() << ", dtype=" << t.dtype()
      << ", device=" << device_name(t.device()) << ")";
  return out.str();
}

}  // namespace

void bind_tensor(py::module_& m) {
  py::class_<Tensor> c(m, "Tensor",
                       "Dense, contiguous, row-major array of at most four axes on a device.");
  c.def_static(
       "empty",
       [](const std::vector<std::int64_t>& shape, const std::string& dtype, bool arena,
          Device device) {
         make_ready(device);
         return Tensor::empty(shape_from(shape), dtype_from(dtype), arena, device);
       },
       py::arg("shape"), py::arg("dtype") = "float32", py::arg("arena") = false,
       py::arg("device") = Device::cpu, "Uninitialised tensor, 64-byte aligned.")
      .def_static(
          "zeros",
          [](const std::vector<std::int64_t>& shape, const std::string& dtype, Device device) {
            make_ready(device);
            Tensor t = Tensor::empty(shape_from(shape), dtype_from(dtype), false, device);
            t.clear();
            return t;
          },
          py::arg("shape"), py::arg("dtype") = "float32", py::arg("device") = Device::cpu,
          "Tensor of zeros.")
      .def_static(
          "from_numpy",
          [](const py::array& array) {
            const DType dtype = array_dtype("Tensor.from_numpy", array);
            Tensor t =
                Tensor::empty(shape_from({array.shape(), array.shape() + array.ndim()}), dtype);
            copy_from(t, array);
            return t;
          },
          py::arg("array"), "Copy of a NumPy array; no cast.")
      .def_static("borrow", &borrow, py::arg("array"),
                  "Tensor on the memory of a C-contiguous NumPy array; read-only if the array is.")
      .def_property_readonly("shape", &shape_tuple)
      .def_property_readonly("dtype",
                             [](const Tensor& t) { return std::string(dtype_name(t.dtype())); })
      .def_property_readonly("device", &Tensor::device)
      .def_property_readonly("ndim", [](const Tensor& t) { return t.shape().rank; })
      .def_property_readonly("size", &Tensor::size)
      .def_property_readonly("nbytes", &Tensor::bytes)
      .def("copy_from", &copy_tensor, py::arg("source"),
           "Overwrite the elements by those of a tensor on any device; same shape and dtype.",
           nogil())
      .def("copy_from", &copy_from, py::arg("source"),
           "Overwrite the elements; same shape and dtype.")
      .def(
          "view",
          [](const Tensor& t, const std::vector<std::int64_t>& shape, std::size_t offset,
             const py::object& dtype) {
            return t.view(offset, shape_from(shape),
                          dtype.is_none() ? t.dtype() : dtype_from(py::cast<std::string>(dtype)));
          },
          py::arg("shape"), py::arg("offset") = 0, py::arg("dtype") = py::none(),
          "Window of this tensor's memory, offset in bytes.")
      .def("overlaps", &Tensor::overlaps, py::arg("other"), "Whether the two share memory.")
      .def(
          "numpy",
          [](const Tensor& t) {
            py::array a(py::dtype(dtype_name(t.dtype())), dims_of(t.shape()));
            const Tensor host = borrow(a);
            py::gil_scoped_release release;
            host.copy_bytes(t);
            return a;
          },
          "Copy as a NumPy array, from any device.")
      .def(
          "to",
          [](const Tensor& t, Device device) {
            if (device == t.device()) return t;
            make_ready(device);
            const py::gil_scoped_release release;
            const Tensor out = Tensor::empty(t.shape(), t.dtype(), false, device);
            out.copy_bytes(t);
            return out;
          },
          py::arg("device"), "This tensor, or a copy of it when it is on another device.")
      .def(
          "__array__",
          [](const py::object& self, const py::object& dtype,
             const py::object& copy) -> py::object {
            py::object a = view_array(self.cast<const Tensor&>(), self);
            const bool cast =
                !dtype.is_none() && !py::dtype::from_args(dtype).equal(a.attr("dtype"));
            if (cast && !copy.is_none() && !copy.cast<bool>())
              fail<ValueError>("Tensor.__array__: copy must not be False when the dtype changes");
            if (cast) return a.attr("astype")(dtype);
            if (!copy.is_none() && copy.cast<bool>()) return a.attr("copy")();
            return a;
          },
          py::arg("dtype") = py::none(), py::arg("copy") = py::none(),
          "View as a NumPy array (shares memory).")
      .def("__len__",
           [](const Tensor& t) {
             if (t.shape().rank == 0) throw py::type_error("len() of a tensor without axes");
             return t.shape()[0];
           })
      .def("__repr__", &text);
  bind_dlpack(m, c);
  m.def("set_poison", &set_poison, py::arg("on"), "Fill fresh memory with NaN (for tests).");
  m.def("poison", &poison, "Whether fresh memory is filled with NaN.");
}

}  // namespace sentei::bindings
