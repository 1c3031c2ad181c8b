// Scratch that tasks borrow and give back: a thread gets the block it used last, still in its
// cache, where scratch of its own would start every task with cache misses. Which block a task gets
// cannot change its result.
#pragma once
#include <cstdint>

#include "cpu/simd.hpp"

namespace sentei::cpu::SENTEI_ISA {
namespace {

class ScratchBlocks {
 public:
  // `count` <= 64 blocks of `size` floats.
  ScratchBlocks(float* first, std::int64_t size, std::int64_t count)
      : first_(first),
        size_(size),
        free_(count >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << count) - 1) {}

  // Waits while all are lent, which takes more threads than blocks.
  int take() {
    std::uint64_t free = __atomic_load_n(&free_, __ATOMIC_RELAXED);
    for (;;) {
      if (!free) {
        free = __atomic_load_n(&free_, __ATOMIC_RELAXED);
      } else if (__atomic_compare_exchange_n(&free_, &free, free & (free - 1), true,
                                             __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
        return __builtin_ctzll(free);
      }
    }
  }
  void give(int block) { __atomic_fetch_or(&free_, std::uint64_t{1} << block, __ATOMIC_RELEASE); }
  float* at(int block) const { return first_ + block * size_; }

 private:
  float* first_;
  std::int64_t size_;
  std::uint64_t free_;
};

}  // namespace
}  // namespace sentei::cpu::SENTEI_ISA
