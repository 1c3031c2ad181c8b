#include "core/tensor.hpp"

#include <atomic>
#include <cstring>

#include "core/platform.hpp"

namespace sentei {
namespace {
std::atomic<bool> poisoned{false};

std::size_t checked_bytes(const Shape& shape, DType dtype) {
  std::int64_t n = 1;
  for (int i = 0; i < shape.rank; ++i) {
    SENTEI_CHECK(ShapeError, shape[i] >= 0, "Tensor: shape must have no negative axis, got ",
                 shape);
    SENTEI_CHECK(ShapeError, !__builtin_mul_overflow(n, shape[i], &n),
                 "Tensor: shape must fit in memory, got ", shape);
  }
  std::int64_t bytes = 0;
  SENTEI_CHECK(ShapeError,
               !__builtin_mul_overflow(n, static_cast<std::int64_t>(dtype_size(dtype)), &bytes) &&
                   bytes < (std::int64_t{1} << 46),
               "Tensor: shape must fit in memory, got ", shape);
  return static_cast<std::size_t>(bytes);
}
// Large blocks ask for huge pages: with 4 KB ones a pass over a map of 26 MB meets 6,400 pages, and
// in a virtual machine every miss of the TLB walks two tables.
void* host_memory(std::size_t room) {
  constexpr std::size_t huge = std::size_t{2} << 20;
  const bool large = room >= 2 * huge;
  return aligned_memory(room, large ? huge : 64, large);
}
}  // namespace

void set_poison(bool on) { poisoned = on; }
bool poison() { return poisoned; }

Tensor::Tensor(std::shared_ptr<Storage> storage, std::size_t offset, Shape shape, DType dtype)
    : storage_(std::move(storage)), offset_(offset), shape_(shape), dtype_(dtype) {}

Tensor Tensor::empty(Shape shape, DType dtype, bool arena, Device device) {
  const std::size_t bytes = checked_bytes(shape, dtype);
  // Two cache lines of slack: vector loads at the very end stay inside the allocation.
  const std::size_t room = (bytes + 63) / 64 * 64 + 128;
  auto storage = std::make_shared<Storage>();
  void* p = nullptr;
  if (device == Device::cpu) {
    p = host_memory(room);
    storage->release = [p] { free_aligned(p); };
    if (poison()) std::memset(p, 0xFF, room);
  } else {  // no slack: reads past the end are to be found
    const Backend& owner = backend();
    p = owner.allocate(bytes ? bytes : 1);
    storage->release = [p, &owner] { owner.release(p); };
    if (poison()) owner.fill(p, 0xFF, bytes);
  }
  storage->data = static_cast<std::byte*>(p);
  storage->bytes = bytes;
  storage->device = device;
  storage->shared_arena = arena;
  return Tensor(std::move(storage), 0, shape, dtype);
}

void Tensor::clear() const {
  if (!bytes()) return;
  if (device() == Device::cpu)
    std::memset(raw(), 0, bytes());
  else
    backend().fill(raw(), 0, bytes());
}

void Tensor::copy_bytes(const Tensor& from) const {
  if (!bytes()) return;
  const bool to_host = device() == Device::cpu, from_host = from.device() == Device::cpu;
  if (to_host && from_host)
    std::memmove(raw(), from.raw(), bytes());
  else if (to_host)
    backend().download(raw(), from.raw(), bytes());
  else if (from_host)
    backend().upload(raw(), from.raw(), bytes());
  else
    backend().copy(raw(), from.raw(), bytes());
}

Tensor Tensor::view(std::size_t offset, Shape shape, DType dtype) const {
  const std::size_t need = checked_bytes(shape, dtype);
  SENTEI_CHECK(ShapeError, storage_ && offset <= bytes() && need <= bytes() - offset,
               "Tensor.view: shape ", shape, " of ", dtype, " at byte ", offset,
               " must lie inside the tensor's ", bytes(), " bytes");
  SENTEI_CHECK(ShapeError, (offset_ + offset) % dtype_size(dtype) == 0,
               "Tensor.view: offset must be a multiple of ", dtype_size(dtype), " bytes, got ",
               offset);
  SENTEI_CHECK(ShapeError,  // memory of others may begin anywhere
               reinterpret_cast<std::uintptr_t>(storage_->data) % dtype_size(dtype) == 0,
               "Tensor.view: the tensor's memory must be aligned to ", dtype_size(dtype),
               " bytes for ", dtype);
  return Tensor(storage_, offset_ + offset, shape, dtype);
}

bool Tensor::overlaps(const Tensor& other) const {
  return bytes() && other.bytes() && raw() < other.raw() + other.bytes() &&
         other.raw() < raw() + bytes();
}

}  // namespace sentei
