#include "core/platform.hpp"

#include <cstdlib>
#include <new>
#include <thread>

#if defined(_WIN32)
#include <malloc.h>
#else
#include <pthread.h>
#endif
#if defined(__linux__)
#include <sched.h>
#include <sys/mman.h>
#endif

namespace sentei {

#if defined(_WIN32)
void* aligned_memory(std::size_t bytes, std::size_t align, bool) {
  void* const p = _aligned_malloc(bytes, align);
  if (!p) throw std::bad_alloc();
  return p;
}
void free_aligned(void* p) noexcept { _aligned_free(p); }
void on_fork(void (*)(), void (*)(), void (*)()) {}  // there is no fork
#else
void* aligned_memory(std::size_t bytes, std::size_t align, [[maybe_unused]] bool huge) {
  void* const p = std::aligned_alloc(align, (bytes + align - 1) / align * align);
  if (!p) throw std::bad_alloc();
#if defined(__linux__) && defined(MADV_HUGEPAGE)
  if (huge) madvise(p, bytes / align * align, MADV_HUGEPAGE);
#endif
  return p;
}
void free_aligned(void* p) noexcept { std::free(p); }
void on_fork(void (*before)(), void (*in_parent)(), void (*in_child)()) {
  pthread_atfork(before, in_parent, in_child);
}
#endif

int allowed_cpus() {
#if defined(__linux__)
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
#endif
  const unsigned n = std::thread::hardware_concurrency();
  return n ? static_cast<int>(n) : 1;
}

}  // namespace sentei
