// Launches, and recordings of launches for captured graphs.
#pragma once
#include <functional>
#include <tuple>
#include <type_traits>
#include <vector>

#include "block.hpp"

namespace cusim {

struct Grid {
  const char* name;
  dim3 blocks, threads;
  std::size_t shared;  // dynamic, bytes
};

void run_grid(const Grid& grid, void (*entry)(void*), void* arguments);
void check_pointer(const char* kernel, const void* p);  // an argument of a kernel

// While there is one, work is put by instead of done.
using Recording = std::vector<std::function<void()>>;
inline thread_local Recording* recording = nullptr;  // of this thread
template <class F>
void run_or_record(F work) {
  if (recording)
    recording->push_back(std::move(work));
  else
    work();
}

template <class... P>
class Launch {
 public:
  Launch(const Grid& grid, void (*kernel)(P...)) : grid_(grid), kernel_(kernel) {}

  void operator()(P... arguments) const {
    static_assert((std::is_trivially_copyable_v<P> && ...), "a kernel's arguments are copied");
    static_assert((sizeof(P) + ... + 0) <= 4096, "a kernel takes 4 KiB of arguments");
    run_or_record([grid = grid_, kernel = kernel_, all = std::tuple<P...>(arguments...)]() mutable {
      const auto check = [&](const auto& a) {
        if constexpr (std::is_pointer_v<std::remove_cvref_t<decltype(a)>>)
          check_pointer(grid.name, a);
      };
      std::apply([&](const auto&... a) { (check(a), ...); }, all);
      auto call = [&] { std::apply(kernel, all); };
      run_grid(grid, [](void* f) { (*static_cast<decltype(call)*>(f))(); }, &call);
    });
  }

 private:
  Grid grid_;
  void (*kernel_)(P...);
};

template <class... P>
Launch<P...> launch(const char* name, void (*kernel)(P...), dim3 blocks, dim3 threads,
                    std::size_t shared = 0) {
  return {{name, blocks, threads, shared}, kernel};
}

}  // namespace cusim
