// The emulator's side of csrc/cuda/device/portable.cuh.
#pragma once
#include "cuda_names.hpp"
#include "grid.hpp"
#include "shared_memory.hpp"
#include "tensor_core.hpp"

#define SENTEI_SHARED(T, name, dims)      \
  static cusim::SharedVariable name##_at; \
  T(&name) dims = *static_cast<T(*) dims>(cusim::shared_at(name##_at, sizeof(T dims)))
#define SENTEI_DYNAMIC_SHARED(T, name) \
  T* const name = reinterpret_cast<T*>(cusim::block.dynamic_shared)

namespace sentei::cuda {

template <int Size>
inline void cp_async(void* to, const void* from, int bytes = Size) {
  cusim::current->copies.add(to, from, Size, bytes);
}
inline void cp_async_commit() { cusim::current->copies.commit(); }
template <int Left>
inline void cp_async_wait() {
  cusim::current->copies.wait(Left);
}
inline void mma_tf32(float* d, const std::uint32_t* a, const std::uint32_t* b, const float* c,
                     cusim::Place here = cusim::Place::current()) {
  cusim::mma_tf32(d, a, b, c, here);
}
inline void mma_bf16(float* d, const std::uint32_t* a, const std::uint32_t* b, const float* c,
                     cusim::Place here = cusim::Place::current()) {
  cusim::mma_bf16(d, a, b, c, here);
}
inline void ldmatrix_x4(std::uint32_t* r, const void* row,
                        cusim::Place here = cusim::Place::current()) {
  cusim::ldmatrix(r, row, 4, false, here);
}
inline void ldmatrix_x2(std::uint32_t* r, const void* row,
                        cusim::Place here = cusim::Place::current()) {
  cusim::ldmatrix(r, row, 2, false, here);
}
inline void ldmatrix_x4_trans(std::uint32_t* r, const void* row,
                              cusim::Place here = cusim::Place::current()) {
  cusim::ldmatrix(r, row, 4, true, here);
}
inline void ldmatrix_x2_trans(std::uint32_t* r, const void* row,
                              cusim::Place here = cusim::Place::current()) {
  cusim::ldmatrix(r, row, 2, true, here);
}
inline float multiply_then_add(float a, float b, float c) {
  const volatile float product = a * b;
  return product + c;
}
inline std::uint32_t to_tf32(float f) {
  const auto u = std::bit_cast<std::uint32_t>(f);
  return ((u & 0x7f800000u) == 0x7f800000u ? u : u + 0x1000u) & ~0x1fffu;
}
inline std::uint32_t to_bf16(float f) {
  const auto u = std::bit_cast<std::uint32_t>(f);
  if ((u & 0x7fffffffu) > 0x7f800000u) return 0x7fffu;
  return (u + 0x7fffu + (u >> 16 & 1u)) >> 16;
}
inline std::uint32_t to_bf16x2(float low, float high) { return to_bf16(low) | to_bf16(high) << 16; }

}  // namespace sentei::cuda
