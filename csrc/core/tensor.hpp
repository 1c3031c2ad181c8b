// Dense bytes on a device: contiguous, row-major, at most four axes. No strides, no broadcasting,
// no implicit copy.
#pragma once
#include <cstddef>
#include <functional>
#include <memory>

#include "core/backend.hpp"
#include "core/check.hpp"
#include "core/dtype.hpp"
#include "core/shape.hpp"

namespace sentei {

struct Storage {
  std::byte* data = nullptr;
  std::size_t bytes = 0;
  Device device = Device::cpu;
  bool read_only = false;         // borrowed memory that must not be written
  bool shared_arena = false;      // bytes are reused by a plan: must not leave by reference
  std::function<void()> release;  // runs once, when the last Tensor goes

  Storage() = default;
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;
  ~Storage() {
    if (release) release();
  }
};

class Tensor {
 public:
  Tensor() = default;
  Tensor(std::shared_ptr<Storage> storage, std::size_t offset, Shape shape, DType dtype);

  // Uninitialised; filled with 0xFF (NaN) while poisoning is on. 64-byte aligned.
  static Tensor empty(Shape shape, DType dtype, bool arena = false, Device device = Device::cpu);
  void clear() const;  // all bytes 0
  // The bytes of another tensor of the same size, wherever the two are.
  void copy_bytes(const Tensor& from) const;

  const Shape& shape() const { return shape_; }
  DType dtype() const { return dtype_; }
  Device device() const { return storage_ ? storage_->device : Device::cpu; }
  std::int64_t size() const { return shape_.size(); }
  std::size_t bytes() const { return static_cast<std::size_t>(size()) * dtype_size(dtype_); }
  std::size_t offset() const { return offset_; }
  const std::shared_ptr<Storage>& storage() const { return storage_; }
  bool read_only() const { return storage_ && storage_->read_only; }
  std::byte* raw() const { return storage_ ? storage_->data + offset_ : nullptr; }

  // The caller has checked the dtype.
  template <class T>
  T* data() const {
    return reinterpret_cast<T*>(raw());
  }

  // A window of this tensor's storage, `offset` bytes from this tensor's start.
  Tensor view(std::size_t offset, Shape shape, DType dtype) const;
  bool overlaps(const Tensor& other) const;

 private:
  std::shared_ptr<Storage> storage_;
  std::size_t offset_ = 0;
  Shape shape_;
  DType dtype_ = DType::f32;
};

void set_poison(bool on);  // tests: fresh memory is NaN
bool poison();

}  // namespace sentei
