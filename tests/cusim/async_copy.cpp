#include "async_copy.hpp"

#include <cstdint>
#include <cstring>

#include "block.hpp"
#include "shared_memory.hpp"

namespace cusim {

void AsyncCopies::Copy::land() const {
  std::memcpy(to, from, static_cast<std::size_t>(bytes));
  std::memset(static_cast<char*>(to) + bytes, 0, static_cast<std::size_t>(size - bytes));
}

void AsyncCopies::add(void* to, const void* from, int size, int bytes) {
  const auto misaligned = [size](const void* p) {
    return reinterpret_cast<std::uintptr_t>(p) % static_cast<unsigned>(size) != 0;
  };
  if (misaligned(to) || misaligned(from)) fail("cp.async: misaligned address for ", size, " bytes");
  if (!in_shared(to) || in_shared(from)) fail("cp.async: must copy from global to shared memory");
  if (bytes < 0 || bytes > size) fail("cp.async: ", bytes, " of ", size, " bytes");
  const Copy copy{to, from, size, bytes};
  const Copies when = config().copies;
  if (when == Copies::eager || (when == Copies::mixed && block.random.coin())) {
    copy.land();
    return;
  }
  copies_.push_back(copy);
  ++open_;
}

void AsyncCopies::commit() {
  groups_.push_back(open_);
  open_ = 0;
}

void AsyncCopies::wait(std::size_t left) {
  if (groups_.size() <= left) return;
  const std::size_t over = groups_.size() - left;
  std::size_t n = 0;
  for (std::size_t i = 0; i < over; ++i) n += groups_[i];
  for (std::size_t i = 0; i < n; ++i) copies_[i].land();
  copies_.erase(copies_.begin(), copies_.begin() + static_cast<std::ptrdiff_t>(n));
  groups_.erase(groups_.begin(), groups_.begin() + static_cast<std::ptrdiff_t>(over));
}

}  // namespace cusim
