// Pages of memory between 1 MiB each that nobody may touch, so that a wrong address is noticed at
// once.
#pragma once
#include <cstddef>

namespace cusim {

constexpr std::size_t kGuard = std::size_t{1} << 20;
std::size_t page_size();
std::size_t round_up(std::size_t n, std::size_t to);

class GuardedPages {
 public:
  GuardedPages() = default;
  explicit GuardedPages(std::size_t bytes);  // rounded up to pages; std::bad_alloc
  GuardedPages(GuardedPages&& other) noexcept;
  GuardedPages& operator=(GuardedPages&& other) noexcept;
  ~GuardedPages();

  char* begin() const { return begin_; }
  char* end() const { return begin_ + size_; }
  std::size_t size() const { return size_; }
  bool near(const void* p) const;  // in these pages or in the guards
  void permit(bool access);

 private:
  char* begin_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace cusim
