// What a run of the emulator depends on beside the kernels. Read from the environment once; a test
// may change it between launches (module.cpp).
#pragma once
#include <cstddef>
#include <cstdint>

namespace cusim {

// Which thread runs when several could: one warp as far ahead as its barriers allow (forward,
// reverse), or a coin at every barrier between that and a fine mixture of all threads (random).
// Unfair orders matter: a missing barrier at the end of a loop shows when one warp runs ahead.
enum class Order { forward, reverse, random };

// When a cp.async lands: at once, at its wait, or either. Eager shows a buffer that is overwritten
// while in use, lazy a missing wait; each hides what the other shows.
enum class Copies { eager, lazy, mixed };

struct Config {
  Order order;         // CUSIM_ORDER: 0 forward, 1 reverse, 2 random (default)
  Copies copies;       // CUSIM_ASYNC: 0 eager, 1 lazy (default), 2 mixed
  std::uint64_t seed;  // CUSIM_SEED: 1
  bool protect;        // CUSIM_PROTECT=1: host code that touches device memory ends the process
};
Config& config();

constexpr int kWarp = 32;
constexpr int kMaxThreads = 1024;                             // of a block
constexpr std::size_t kSharedStatic = std::size_t{48} << 10;  // bytes a block may declare
constexpr std::size_t kSharedLimit = std::size_t{227} << 10;  // with the dynamic part
constexpr int kPoison = 0xff;                                 // NaN in every float format

// Numbers that follow from the seed alone.
class Random {
 public:
  void seed(std::uint64_t a, std::uint64_t b) {
    state_ = (a * 0x9e3779b97f4a7c15u ^ (b + 1) * 0xd1b54a32d192ed03u) | 1;
    next();
  }
  std::uint32_t next() {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return static_cast<std::uint32_t>(state_ >> 32);
  }
  std::uint32_t below(std::size_t n) {
    return static_cast<std::uint32_t>(std::uint64_t{next()} * n >> 32);
  }
  bool coin() { return next() >> 31 != 0; }

 private:
  std::uint64_t state_ = 1;
};

}  // namespace cusim
