// DLPack in and out without copying: the structures of the DLPack 1.0 C ABI, written from its
// specification.
#include <cstring>

#include "bindings/bindings.hpp"

namespace sentei::bindings {
namespace {

struct DLDevice {
  std::int32_t type, id;
};
struct DLDataType {
  std::uint8_t code, bits;
  std::uint16_t lanes;
};
struct DLTensor {
  void* data;
  DLDevice device;
  std::int32_t ndim;
  DLDataType dtype;
  std::int64_t* shape;
  std::int64_t* strides;
  std::uint64_t byte_offset;
};
struct DLManaged {  // before 1.0
  DLTensor tensor;
  void* manager;
  void (*deleter)(DLManaged*);
};
struct DLManagedVersioned {
  std::uint32_t major, minor;
  void* manager;
  void (*deleter)(DLManagedVersioned*);
  std::uint64_t flags;
  DLTensor tensor;
};
constexpr std::int32_t kDLCPU = 1, kDLCUDA = 2;
constexpr std::intptr_t kLegacyStream = 1;  // what "the default stream" means, see the standard
constexpr std::uint64_t kReadOnly = 1, kIsCopied = 2;

struct Holder {
  Tensor tensor;
  std::int64_t shape[Shape::kMaxRank], strides[Shape::kMaxRank];
};

DLDataType dl_dtype(DType t) {
  switch (t) {
    case DType::f32:
      return {2, 32, 1};
    case DType::f64:
      return {2, 64, 1};
    case DType::i32:
      return {0, 32, 1};
    case DType::i64:
      return {0, 64, 1};
    default:
      return {1, 8, 1};
  }
}

DLDevice dl_device_of(const Tensor& t) { return {t.device() == Device::cpu ? kDLCPU : kDLCUDA, 0}; }

template <class Managed>
void release(Managed* m) {
  delete static_cast<Holder*>(m->manager);
  delete m;
}

template <class Managed>
Managed* make(const Tensor& t) {
  auto* holder = new Holder{t, {}, {}};
  auto* m = new Managed{};
  std::int64_t stride = 1;
  for (int i = t.shape().rank - 1; i >= 0; --i) {
    holder->shape[i] = t.shape()[i];
    holder->strides[i] = stride;
    stride *= t.shape()[i];
  }
  m->manager = holder;
  m->deleter = &release<Managed>;
  m->tensor = {
      t.raw(), dl_device_of(t), t.shape().rank, dl_dtype(t.dtype()), holder->shape, holder->strides,
      0};
  return m;
}

template <class Managed>
void drop_capsule(PyObject* capsule, const char* name) {  // only when nobody took it
  if (!PyCapsule_IsValid(capsule, name)) return;
  auto* m = static_cast<Managed*>(PyCapsule_GetPointer(capsule, name));
  m->deleter(m);
}

Tensor copy_of(const Tensor& t, Device device) {
  const py::gil_scoped_release release;
  Tensor out = Tensor::empty(t.shape(), t.dtype(), false, device);
  out.copy_bytes(t);
  return out;
}

// An argument as T, or a TypeError of one sentence; other libraries call with what they like.
template <class T>
T read(const py::object& given, const char* rule) {
  try {
    return given.cast<T>();
  } catch (const py::cast_error&) {
    throw py::type_error(std::string(rule) + ", got " + std::string(py::repr(given)));
  }
}

// copy: 1 always, 0 never, -1 where it cannot be avoided.
int read_copy(const char* who, const py::object& copy) {
  if (copy.is_none()) return -1;
  py::detail::make_caster<bool> truth;
  if (!truth.load(copy, false))  // true and false of Python and NumPy, not what is merely true
    throw py::type_error(std::string(who) + ": copy must be True, False or None, got " +
                         std::string(py::repr(copy)));
  return py::detail::cast_op<bool>(truth) ? 1 : 0;
}

// The consumer's stream (1: legacy default, 2: per-thread default, or its address) waits for ours.
void order_consumer(const py::object& stream) {
  std::intptr_t theirs = kLegacyStream;
  if (!stream.is_none()) {
    if (!py::isinstance<py::int_>(stream))
      throw py::value_error("Tensor.__dlpack__: stream must be a whole number or None on cuda");
    theirs = stream.cast<std::intptr_t>();
    if (theirs == -1) return;  // no order is asked for
    if (theirs <= 0)
      throw py::value_error(
          "Tensor.__dlpack__: stream must be -1, 1, 2 or the address of a stream on cuda, got " +
          std::to_string(theirs));
  }
  backend().order(theirs, true);
}

// Where the capsule's memory is to be: dl_device is (type, number) or None, "where the tensor is".
Device export_device(const Tensor& self, const py::object& dl_device) {
  if (dl_device.is_none()) return self.device();
  const auto [type, id] = read<std::pair<int, int>>(
      dl_device, "Tensor.__dlpack__: dl_device must be (device type, number) or None");
  if (type == kDLCPU && id == 0) return Device::cpu;
  if (type == dl_device_of(self).type && id == 0) return self.device();
  throw py::buffer_error(
      self.device() == Device::cpu
          ? "Tensor.__dlpack__: dl_device must be (1, 0), the CPU, where the tensor is"
          : "Tensor.__dlpack__: dl_device must be (2, 0), where the tensor is, or (1, 0)");
}

bool takes_versioned(const py::object& max_version) {
  if (max_version.is_none()) return false;
  return read<std::pair<int, int>>(max_version,
                                   "Tensor.__dlpack__: max_version must be (major, minor) or None")
             .first >= 1;
}

py::object to_dlpack(const Tensor& self, const py::object& stream, const py::object& max_version,
                     const py::object& dl_device, const py::object& copy) {
  const int wanted = read_copy("Tensor.__dlpack__", copy);
  const bool versioned = takes_versioned(max_version);
  const Device to = export_device(self, dl_device);
  if (to == Device::cpu && !stream.is_none())
    throw py::value_error("Tensor.__dlpack__: stream must be None for memory on cpu");
  const bool arena = self.storage() && self.storage()->shared_arena;
  if (to != self.device() && wanted == 0)
    throw py::buffer_error(
        "Tensor.__dlpack__: copy must not be False: the tensor is on cuda, dl_device asks for cpu");
  if (arena && wanted == 0)
    throw py::buffer_error(
        "Tensor.__dlpack__: copy must not be False: the memory belongs to a plan that reuses it");
  const bool copied = wanted == 1 || arena || to != self.device();
  if (self.read_only() && !copied && !versioned)
    throw py::buffer_error(
        "Tensor.__dlpack__: the tensor must be writable for a consumer from before DLPack 1.0, got "
        "the memory of a read-only array");
  const Tensor t = copied ? copy_of(self, to) : self;
  if (t.device() == Device::cuda) order_consumer(stream);
  if (versioned) {
    auto* m = make<DLManagedVersioned>(t);
    m->major = 1;
    m->minor = 0;
    m->flags = copied ? kIsCopied : t.read_only() ? kReadOnly : 0;
    return py::reinterpret_steal<py::object>(PyCapsule_New(
        m, "dltensor_versioned",
        [](PyObject* c) { drop_capsule<DLManagedVersioned>(c, "dltensor_versioned"); }));
  }
  return py::reinterpret_steal<py::object>(PyCapsule_New(
      make<DLManaged>(t), "dltensor", [](PyObject* c) { drop_capsule<DLManaged>(c, "dltensor"); }));
}

// The producer may use its memory again: after our work on it.
void order_quietly(const Backend& owner) {
  try {
    owner.order(kLegacyStream, true);
  } catch (const std::exception&) {  // a destructor has no one to tell
  }
}

std::string name_of(const DLDataType& d) {
  static const char* const kinds[] = {"int",    "uint",    "float", "opaque",
                                      "bfloat", "complex", "bool"};
  std::string name = d.code < std::size(kinds) ? kinds[d.code] : "code " + std::to_string(d.code);
  if (d.code != 6) name += (d.code < std::size(kinds) ? "" : " of ") + std::to_string(d.bits);
  return d.lanes == 1 ? name : name + " in vectors of " + std::to_string(d.lanes);
}

DType dtype_of(const DLDataType& d) {
  for (DType t : {DType::f32, DType::f64, DType::i32, DType::i64, DType::u8}) {
    const DLDataType want = dl_dtype(t);
    if (d.code == want.code && d.bits == want.bits && d.lanes == 1) return t;
  }
  fail<DTypeError>("from_dlpack: x must be float32, float64, int32, int64 or uint8, got ",
                   name_of(d));
}

Shape dense_shape(const DLTensor& d) {
  SENTEI_CHECK(ShapeError, d.ndim >= 0 && d.ndim <= Shape::kMaxRank,
               "from_dlpack: x must have at most 4 axes, got ", d.ndim);
  Shape shape;
  for (int i = 0; i < d.ndim; ++i) shape[shape.rank++] = d.shape[i];
  std::int64_t stride = 1;
  for (int i = d.ndim - 1; i >= 0; --i) {
    SENTEI_CHECK(ValueError,
                 !d.strides || shape[i] <= 1 || shape.size() == 0 || d.strides[i] == stride,
                 "from_dlpack: x must be contiguous and row-major");
    stride *= shape[i];
  }
  return shape;
}

template <class Managed>
Tensor adopt(const py::object& capsule, const char* name, const char* used, bool read_only) {
  auto* m = static_cast<Managed*>(PyCapsule_GetPointer(capsule.ptr(), name));
  if (!m) throw py::error_already_set();
  const DLTensor& d = m->tensor;
  const bool cuda = d.device.type == kDLCUDA;
  SENTEI_CHECK(DeviceError, cuda || d.device.type == kDLCPU,
               "from_dlpack: x must be on cpu or cuda (DLPack device 1 or 2), got device ",
               d.device.type);
  SENTEI_CHECK(DeviceError, d.device.id == 0,
               "from_dlpack: x must be on the first device, got number ", d.device.id);
  const Backend* const owner = cuda ? &backend() : nullptr;  // DeviceError where there is none
  const Shape shape = dense_shape(d);
  const DType dtype = dtype_of(d.dtype);
  auto storage = std::make_shared<Storage>();
  storage->data = static_cast<std::byte*>(d.data) + d.byte_offset;
  SENTEI_CHECK(ValueError, reinterpret_cast<std::uintptr_t>(storage->data) % dtype_size(dtype) == 0,
               "from_dlpack: x must be aligned");
  storage->bytes = static_cast<std::size_t>(shape.size()) * dtype_size(dtype);
  storage->device = cuda ? Device::cuda : Device::cpu;
  storage->read_only = read_only;
  if (owner)
    owner->order(kLegacyStream, false);  // the producer has ordered that stream after its own
  storage->release = [m, owner] {
    if (owner) order_quietly(*owner);
    if (!Py_IsInitialized()) return;  // the producer's interpreter is gone, and its memory with it
    py::gil_scoped_acquire gil;
    if (m->deleter) m->deleter(m);
  };
  PyCapsule_SetName(capsule.ptr(), used);
  return Tensor(std::move(storage), 0, shape, dtype);
}

// A capsule is used up by the first who takes it: its name says so.
Tensor take(const py::object& capsule) {
  if (PyCapsule_IsValid(capsule.ptr(), "dltensor_versioned")) {
    const auto* m =
        static_cast<DLManagedVersioned*>(PyCapsule_GetPointer(capsule.ptr(), "dltensor_versioned"));
    if (m->major != 1)
      throw py::buffer_error("from_dlpack: x must speak DLPack 1.x, got version " +
                             std::to_string(m->major));
    return adopt<DLManagedVersioned>(capsule, "dltensor_versioned", "used_dltensor_versioned",
                                     (m->flags & kReadOnly) != 0);
  }
  if (!PyCapsule_IsValid(capsule.ptr(), "dltensor"))
    throw py::value_error("from_dlpack: x.__dlpack__ must give a capsule that nobody took, got " +
                          std::string(py::repr(capsule)));
  return adopt<DLManaged>(capsule, "dltensor", "used_dltensor", false);
}

py::object capsule_of(const py::object& x, const py::dict& required, const py::dict& wishes) {
  try {
    py::dict all;
    for (const auto& from : {required, wishes})
      for (const auto& [key, value] : from) all[key] = value;
    return x.attr("__dlpack__")(**all);
  } catch (py::error_already_set& e) {  // a producer from before 2023 knows no such arguments
    if (!e.matches(PyExc_TypeError)) throw;
    return x.attr("__dlpack__")(**required);
  }
}

Tensor from_dlpack(const py::object& x, const py::object& device, const py::object& copy) {
  for (const char* name : {"__dlpack__", "__dlpack_device__"})
    if (!py::hasattr(x, name))
      throw py::attribute_error("from_dlpack: x must have " + std::string(name) + ", got " +
                                std::string(py::str(py::type::of(x))));
  const int wanted = read_copy("from_dlpack", copy);
  const int type =
      read<std::pair<int, int>>(x.attr("__dlpack_device__")(),
                                "from_dlpack: x.__dlpack_device__ must give (device type, number)")
          .first;
  const bool moves =
      !device.is_none() && (device.cast<Device>() == Device::cpu ? kDLCPU : kDLCUDA) != type;
  if (moves && wanted == 0)
    throw py::value_error("from_dlpack: copy must not be False: x is on another device than " +
                          std::string(py::str(device)));
  py::dict required, wishes;
  wishes["max_version"] = py::make_tuple(1, 0);
  if (moves && device.cast<Device>() == Device::cpu) {  // only its own library can read it
    required["dl_device"] = py::make_tuple(kDLCPU, 0);
    return take(capsule_of(x, required, wishes));
  }
  if (type == kDLCUDA) required["stream"] = kLegacyStream;
  if (wanted == 0) wishes["copy"] = false;
  const Tensor t = take(capsule_of(x, required, wishes));
  if (dl_device_of(t).type != type)  // else memory elsewhere than was asked for, without a word
    throw py::buffer_error("from_dlpack: x must give memory on the device that it names, (" +
                           std::to_string(type) + ", 0), got (" +
                           std::to_string(dl_device_of(t).type) + ", 0)");
  if (!moves && wanted != 1) return t;
  const Device to = moves ? device.cast<Device>() : t.device();
  make_ready(to);
  return copy_of(t, to);
}

}  // namespace

void bind_dlpack(py::module_& m, py::class_<Tensor>& tensor) {
  tensor
      .def("__dlpack__", &to_dlpack, py::kw_only(), py::arg("stream") = py::none(),
           py::arg("max_version") = py::none(), py::arg("dl_device") = py::none(),
           py::arg("copy") = py::none(), "DLPack capsule on this tensor's memory.")
      .def("__dlpack_device__", [](const Tensor& t) {
        const DLDevice d = dl_device_of(t);
        return py::make_tuple(d.type, d.id);
      });
  m.def("from_dlpack", &from_dlpack, py::arg("x"), py::pos_only(), py::kw_only(),
        py::arg("device") = py::none(), py::arg("copy") = py::none(),
        "Tensor on the memory of any DLPack producer on the CPU or the CUDA device.");
}

}  // namespace sentei::bindings
