// The emulator's side of csrc/cuda/device/portable.cuh. Lines of callers travel as a default
// argument, so that warps that diverge are told apart.
#pragma once
#include "cusim.hpp"

#define SENTEI_SHARED(T, name, dims) \
  static cusim::Site name##_site_;   \
  T(&name)                           \
  dims = *reinterpret_cast<T(*) dims>(cusim::shared_at(name##_site_, sizeof(T dims), alignof(T)))
#define SENTEI_DYNAMIC_SHARED(T, name) T* const name = reinterpret_cast<T*>(cusim::B->arena)

namespace sentei::cuda {

template <int Size>
inline void cp_async(void* to, const void* from, int bytes = Size) {
  cusim::cp_async(to, from, Size, bytes);
}
inline void cp_async_commit() { cusim::cp_commit(); }
template <int Left>
inline void cp_async_wait() {
  cusim::land(cusim::B->cur, Left);
}
inline void mma_tf32(float* d, const std::uint32_t* a, const std::uint32_t* b, const float* c,
                     int line = __builtin_LINE()) {
  cusim::mma_tf32(d, a, b, c, line);
}
inline void mma_bf16(float* d, const std::uint32_t* a, const std::uint32_t* b, const float* c,
                     int line = __builtin_LINE()) {
  cusim::mma_bf16(d, a, b, c, line);
}
inline void ldmatrix_x4(std::uint32_t* r, const void* row, int line = __builtin_LINE()) {
  cusim::ldmatrix<4>(r, row, false, line);
}
inline void ldmatrix_x2(std::uint32_t* r, const void* row, int line = __builtin_LINE()) {
  cusim::ldmatrix<2>(r, row, false, line);
}
inline void ldmatrix_x4_trans(std::uint32_t* r, const void* row, int line = __builtin_LINE()) {
  cusim::ldmatrix<4>(r, row, true, line);
}
inline void ldmatrix_x2_trans(std::uint32_t* r, const void* row, int line = __builtin_LINE()) {
  cusim::ldmatrix<2>(r, row, true, line);
}
inline float multiply_then_add(float a, float b, float c) {
  const volatile float product = a * b;
  return product + c;
}
inline std::uint32_t to_tf32(float f) {
  const std::uint32_t u = cusim::f_bits(f);
  return ((u & 0x7f800000u) == 0x7f800000u ? u : u + 0x1000u) & ~0x1fffu;
}
inline std::uint32_t to_bf16(float f) {
  const std::uint32_t u = cusim::f_bits(f);
  if ((u & 0x7fffffffu) > 0x7f800000u) return 0x7fffu;
  return (u + 0x7fffu + (u >> 16 & 1u)) >> 16;
}
inline std::uint32_t to_bf16x2(float low, float high) { return to_bf16(low) | to_bf16(high) << 16; }

}  // namespace sentei::cuda
