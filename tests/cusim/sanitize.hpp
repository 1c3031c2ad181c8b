// What the address sanitizer must be told: which memory nobody may touch, and switches of stacks.
// Without it all of this is nothing.
#pragma once
#include <cstddef>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace cusim::sanitize {

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kOn = true;
inline void forbid(const void* p, std::size_t n) { __asan_poison_memory_region(p, n); }
inline void allow(const void* p, std::size_t n) { __asan_unpoison_memory_region(p, n); }
// fake: where the state of the stack that is left is kept; null when it will not be entered again.
inline void start_switch(void** fake, const void* low, std::size_t size) {
  __sanitizer_start_switch_fiber(fake, low, size);
}
inline void finish_switch(void* fake, const void** old_low, std::size_t* old_size) {
  __sanitizer_finish_switch_fiber(fake, old_low, old_size);
}
inline void at_death(void (*f)()) { __sanitizer_set_death_callback(f); }
#else
constexpr bool kOn = false;
inline void forbid(const void*, std::size_t) {}
inline void allow(const void*, std::size_t) {}
inline void start_switch(void**, const void*, std::size_t) {}
inline void finish_switch(void*, const void**, std::size_t*) {}
inline void at_death(void (*)()) {}
#endif

}  // namespace cusim::sanitize
