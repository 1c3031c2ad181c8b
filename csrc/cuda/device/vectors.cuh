// One or four neighbouring floats in one access; four want an address aligned to 16 bytes.
#pragma once
#include "cuda/device/portable.cuh"

namespace sentei::cuda {

template <int Vec>
__device__ __forceinline__ void load(const float* p, float (&v)[Vec]) {
  if constexpr (Vec == 4) {
    const float4 q = *reinterpret_cast<const float4*>(p);
    v[0] = q.x;
    v[1] = q.y;
    v[2] = q.z;
    v[3] = q.w;
  } else {
    v[0] = *p;
  }
}
template <int Vec>
__device__ __forceinline__ void store(float* p, const float (&v)[Vec]) {
  if constexpr (Vec == 4)
    *reinterpret_cast<float4*>(p) = make_float4(v[0], v[1], v[2], v[3]);
  else
    *p = v[0];
}

}  // namespace sentei::cuda
