// What differs between operating systems and compilers, in one place.
#pragma once
#include <cstddef>

namespace sentei {

// Memory that starts at a multiple of `align` (a power of two), or std::bad_alloc. `huge`: ask for
// huge pages; a system that has none gives others.
void* aligned_memory(std::size_t bytes, std::size_t align, bool huge);
void free_aligned(void* p) noexcept;

// CPUs that this process may use: its affinity where the system has one.
int allowed_cpus();

// Where processes fork: call these before it and after it, in the parent and in the child.
void on_fork(void (*before)(), void (*in_parent)(), void (*in_child)());

// Tell the core that this thread only waits.
inline void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

}  // namespace sentei
