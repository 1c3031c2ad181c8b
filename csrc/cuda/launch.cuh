// The one way to launch a kernel: on the backend's stream, errors named after the kernel.
//   launch("add_forward_kernel", add_forward_kernel, grid, block, shared_bytes, arguments...);
// An empty grid launches nothing. Sources see CUDA's names through this header alone, so that the
// emulator of the tests can stand in for them.
#pragma once
#include <cstdint>

#include "cuda/device/portable.cuh"

#if defined(SENTEI_CUSIM)

namespace sentei::cuda {

template <class... P, class... A>
void launch(const char* name, void (*kernel)(P...), dim3 grid, dim3 block, std::size_t shared,
            A... args) {
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return;
  cusim::launch(name, kernel, grid, block, shared)(static_cast<P>(args)...);
}

}  // namespace sentei::cuda

#else

#include "cuda/runtime.hpp"

namespace sentei::cuda {

template <class... P, class... A>
void launch(const char* name, void (*kernel)(P...), dim3 grid, dim3 block, std::size_t shared,
            A... args) {
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return;
  const OnDevice here;
  // More than 48 KB, with the kernel's static part, must be asked for.
  if (shared > (std::size_t{32} << 10))
    check(
        cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel),
                             cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared)),
        name);
  // clang-format off
  kernel<<<grid, block, shared, launch_stream()>>>(static_cast<P>(args)...);
  // clang-format on
  check(cudaGetLastError(), name);
}

}  // namespace sentei::cuda

#endif

namespace sentei::cuda {

inline std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

// Blocks for n items of `each` per block, at most `most` (kernels loop over the rest).
inline unsigned blocks_for(std::int64_t n, std::int64_t each, std::int64_t most = 1 << 20) {
  const std::int64_t b = ceil_div(n, each);
  return static_cast<unsigned>(b < most ? b : most);
}

}  // namespace sentei::cuda
