// The one way to run on several cores. The split into tasks must depend on the problem alone, never
// on the number of threads: that is what keeps the bits the same for any thread count.
#pragma once
#include <cstdint>

namespace sentei {

using TaskFn = void (*)(void* ctx, std::int64_t task);

// Runs fn(ctx, i) once for every i in [0, tasks), in any order, and returns when all are done.
// A call from inside a task runs inline. Tasks must not throw; DeviceError before any task runs
// when the system refuses the threads.
void parallel_run(std::int64_t tasks, TaskFn fn, void* ctx);

int thread_count();                 // threads that parallel_run uses, the caller included
void set_thread_count(int n);       // n >= 1; restarts the pool
int default_thread_count();         // what affinity, cgroup quota and the environment allow
const char* thread_count_source();  // where the present number comes from, in words

// Internal linkage, so that kernels built for several instruction sets share no symbol.
namespace {
template <class F>
inline void parallel_for(std::int64_t tasks, const F& f) {
  parallel_run(
      tasks, [](void* ctx, std::int64_t i) { (*static_cast<const F*>(ctx))(i); },
      const_cast<F*>(&f));
}

// [begin, end) of part i when n items are cut into `parts` even pieces.
struct Range {
  std::int64_t begin, end;
};
[[maybe_unused]] inline Range even_part(std::int64_t n, std::int64_t parts, std::int64_t i) {
  return {n * i / parts, n * (i + 1) / parts};
}
}  // namespace
}  // namespace sentei
