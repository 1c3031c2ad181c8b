// Everything that differs between a GPU and the emulator of the tests (tests/cusim): shared memory
// and the instructions that CUDA C++ has no words for. PTX stands in this file only.
//
// SENTEI_SHARED(float, tile, [64][20]) declares static shared memory; SENTEI_DYNAMIC_SHARED(T,
// name) a pointer to the dynamic part (16-byte aligned). Every thread of a block must reach every
// barrier.
#pragma once
#include <cstddef>
#include <cstdint>

#if defined(SENTEI_CUSIM)
#include "cusim_portable.hpp"
#else

#include <cuda_runtime.h>

#define SENTEI_SHARED(T, name, dims) __shared__ T name dims
#define SENTEI_DYNAMIC_SHARED(T, name)       \
  extern __shared__ float4 sentei_shared_[]; \
  T* const name = reinterpret_cast<T*>(sentei_shared_)

namespace sentei::cuda {

__device__ __forceinline__ std::uint32_t shared_address(const void* p) {
  return static_cast<std::uint32_t>(__cvta_generic_to_shared(p));
}

// Copies `bytes` (of 4, 8 or 16) from global to shared memory in the background and zeroes the
// rest; both addresses are aligned to the full size. Waits count committed groups.
template <int Size>
__device__ __forceinline__ void cp_async(void* to, const void* from, int bytes = Size) {
  if constexpr (Size == 16)
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)),
                 "l"(from), "r"(bytes)
                 : "memory");
  else
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(shared_address(to)),
                 "l"(from), "n"(Size), "r"(bytes)
                 : "memory");
}
__device__ __forceinline__ void cp_async_commit() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}
template <int Left>
__device__ __forceinline__ void cp_async_wait() {  // until at most Left groups are under way
  asm volatile("cp.async.wait_group %0;" ::"n"(Left) : "memory");
}

// d (16, 8) = a (16, 8) b (8, 8) + c; operands rounded by to_tf32. Fragments as PTX lays them out.
__device__ __forceinline__ void mma_tf32(float* d, const std::uint32_t* a, const std::uint32_t* b,
                                         const float* c) {
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 "
      "{%0,%1,%2,%3},{%4,%5,%6,%7},{%8,%9},{%10,%11,%12,%13};"
      : "=f"(d[0]), "=f"(d[1]), "=f"(d[2]), "=f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]), "f"(c[0]), "f"(c[1]),
        "f"(c[2]), "f"(c[3]));
}
// d (16, 8) = a (16, 16) b (16, 8) + c
__device__ __forceinline__ void mma_bf16(float* d, const std::uint32_t* a, const std::uint32_t* b,
                                         const float* c) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
      "{%0,%1,%2,%3},{%4,%5,%6,%7},{%8,%9},{%10,%11,%12,%13};"
      : "=f"(d[0]), "=f"(d[1]), "=f"(d[2]), "=f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]), "f"(c[0]), "f"(c[1]),
        "f"(c[2]), "f"(c[3]));
}

// Four 8x8 matrices of 16-bit words; lane i gives the 16-byte row i % 8 of matrix i / 8.
__device__ __forceinline__ void ldmatrix_x4(std::uint32_t* r, const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3},[%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(row))
               : "memory");
}
__device__ __forceinline__ void ldmatrix_x2(std::uint32_t* r, const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0,%1},[%2];"
               : "=r"(r[0]), "=r"(r[1])
               : "r"(shared_address(row))
               : "memory");
}
__device__ __forceinline__ void ldmatrix_x4_trans(std::uint32_t* r, const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3},[%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(row))
               : "memory");
}
__device__ __forceinline__ void ldmatrix_x2_trans(std::uint32_t* r, const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0,%1},[%2];"
               : "=r"(r[0]), "=r"(r[1])
               : "r"(shared_address(row))
               : "memory");
}

// Rounded after the product and after the sum, never fused.
__device__ __forceinline__ float multiply_then_add(float a, float b, float c) {
  return __fadd_rn(__fmul_rn(a, b), c);
}

// Nearest, ties away from zero, as the tensor cores expect.
__device__ __forceinline__ std::uint32_t to_tf32(float f) {
  std::uint32_t u;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(u) : "f"(f));
  return u;
}
// Two floats as bfloat16, nearest even: `low` in the low half.
__device__ __forceinline__ std::uint32_t to_bf16x2(float low, float high) {
  std::uint32_t u;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(u) : "f"(high), "f"(low));
  return u;
}

}  // namespace sentei::cuda

#endif
