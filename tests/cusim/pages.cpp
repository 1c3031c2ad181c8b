#include "pages.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <new>
#include <utility>

#include "sanitize.hpp"

namespace cusim {

std::size_t page_size() {
  static const auto n = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  return n;
}

std::size_t round_up(std::size_t n, std::size_t to) { return (n + to - 1) / to * to; }

GuardedPages::GuardedPages(std::size_t bytes) : size_(round_up(bytes, page_size())) {
  void* const all = mmap(nullptr, size_ + 2 * kGuard, PROT_NONE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (all == MAP_FAILED) throw std::bad_alloc();
  begin_ = static_cast<char*>(all) + kGuard;
  permit(true);
}

GuardedPages::GuardedPages(GuardedPages&& other) noexcept
    : begin_(std::exchange(other.begin_, nullptr)), size_(std::exchange(other.size_, 0)) {}

GuardedPages& GuardedPages::operator=(GuardedPages&& other) noexcept {
  std::swap(begin_, other.begin_);
  std::swap(size_, other.size_);
  return *this;
}

GuardedPages::~GuardedPages() {
  if (!begin_) return;
  sanitize::allow(begin_, size_);  // the addresses may be given to somebody else
  munmap(begin_ - kGuard, size_ + 2 * kGuard);
}

bool GuardedPages::near(const void* p) const {
  const auto* const c = static_cast<const char*>(p);
  return begin_ && c >= begin_ - kGuard && c < end() + kGuard;
}

void GuardedPages::permit(bool access) {
  if (mprotect(begin_, size_, access ? PROT_READ | PROT_WRITE : PROT_NONE) != 0)
    throw std::bad_alloc();
}

}  // namespace cusim
