// The checks that every op makes, worded in one place. `op` and `name` are the op's and the
// argument's.
#pragma once
#include <initializer_list>

#include "core/precision.hpp"
#include "core/tensor.hpp"

namespace sentei::ops {

struct Argument {
  const char* name;
  const Tensor* tensor;  // null: not given
};

// Where all of them are; the first one given says where.
inline Device device_of(const char* op, std::initializer_list<Argument> all) {
  const Argument* first = nullptr;
  for (const Argument& a : all) {
    if (!a.tensor || a.tensor->bytes() == 0) continue;
    if (!first) first = &a;
    SENTEI_CHECK(DeviceError, a.tensor->device() == first->tensor->device(), op, ": ", a.name,
                 " must be on ", device_name(first->tensor->device()), " as ", first->name,
                 " is, got ", device_name(a.tensor->device()));
  }
  return first ? first->tensor->device() : Device::cpu;
}

inline void check_precision(const char* op, Precision precision, Device device) {
  SENTEI_CHECK(ValueError, precision_on(precision, device), op, ": precision must be ",
               precision_names(&device), " on ", device_name(device), ", got ",
               precision_name(precision));
}

inline void check_dtype(const char* op, const char* name, const Tensor& t, DType want) {
  SENTEI_CHECK(DTypeError, t.dtype() == want, op, ": ", name, " must be ", want, ", got ",
               t.dtype());
}

inline void check_float(const char* op, const char* name, const Tensor& t) {
  check_dtype(op, name, t, DType::f32);
}

inline void check_rank(const char* op, const char* name, const Tensor& t, int rank) {
  SENTEI_CHECK(ShapeError, t.shape().rank == rank, op, ": ", name, " must have ", rank,
               " axes, got shape ", t.shape());
}

inline void check_shape(const char* op, const char* name, const Tensor& t, const Shape& want) {
  SENTEI_CHECK(ShapeError, t.shape() == want, op, ": ", name, " must have shape ", want, ", got ",
               t.shape());
}

// check_apart and check_same_or_apart see to it for the tensor that they call `out`.
inline void check_writable(const char* op, const char* name, const Tensor& t) {
  SENTEI_CHECK(ValueError, !t.read_only(), op, ": ", name,
               " must be writable, got the memory of a read-only array");
}

// `out` is written while `in` is read: they must not share memory.
inline void check_apart(const char* op, const char* out_name, const Tensor& out,
                        const char* in_name, const Tensor& in) {
  check_writable(op, out_name, out);
  SENTEI_CHECK(ValueError, !out.overlaps(in), op, ": ", out_name, " must not overlap ", in_name);
}

// Elementwise kernels may run in place, but not on memory that overlaps by halves.
inline void check_same_or_apart(const char* op, const char* out_name, const Tensor& out,
                                const char* in_name, const Tensor& in) {
  check_writable(op, out_name, out);
  SENTEI_CHECK(ValueError, out.raw() == in.raw() || !out.overlaps(in), op, ": ", out_name,
               " must be ", in_name, " itself or not overlap it");
}

// The workspace's memory, 64-byte aligned, or null when none is needed; an absent or empty tensor
// then will do.
inline std::byte* check_workspace(const char* op, const Tensor* workspace, std::size_t need) {
  if (workspace) check_dtype(op, "workspace", *workspace, DType::u8);
  if (need == 0) return nullptr;
  SENTEI_CHECK(ShapeError, workspace && workspace->bytes() >= need, op,
               ": workspace must have at least ", need, " bytes, got ",
               workspace ? workspace->bytes() : 0);
  check_writable(op, "workspace", *workspace);
  SENTEI_CHECK(ValueError, reinterpret_cast<std::uintptr_t>(workspace->raw()) % 64 == 0, op,
               ": workspace must be aligned to 64 bytes");
  return workspace->raw();
}
inline std::byte* check_workspace(const char* op, const Tensor& workspace, std::size_t need) {
  return check_workspace(op, &workspace, need);
}

// Vectors and scalars beside the main tensors: out must share memory with none of them.
inline void check_apart(const char* op, const char* out_name, const Tensor& out,
                        std::initializer_list<Argument> others) {
  for (const Argument& other : others)
    if (other.tensor) check_apart(op, out_name, out, other.name, *other.tensor);
}

}  // namespace sentei::ops
