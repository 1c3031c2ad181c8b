// out[i] = max(sum_s partials[s][i] + bias[i % columns], low).
// A block takes 256 / Slices vectors of V; slice l sums slots l, l + Slices, ... ascending, then
// the slices are added in order: the bits do not depend on the grid. Many slices where there are
// many slots and few elements, for enough bytes in flight. Moves 4 (slots + 1) n bytes.
#include "cuda/device/active_rows.cuh"
#include "cuda/device/elementwise.cuh"
#include "cuda/slot_sum.hpp"

namespace sentei::cuda {
namespace {

constexpr int kThreads = 256;

template <int V, int Slices>
__global__ void __launch_bounds__(kThreads) slot_sum_kernel(const SlotSum s) {
  constexpr int across = kThreads / Slices;
  SENTEI_SHARED(float, parts, [Slices][Slices > 1 ? across * V : 1]);
  const int lane = static_cast<int>(threadIdx.x) % across;
  const int slice = static_cast<int>(threadIdx.x) / across;
  const std::int64_t first = (std::int64_t{blockIdx.x} * across + lane) * V;
  float sum[V] = {};
  if (first < s.n) {
#pragma unroll 4
    for (int slot = slice; slot < s.slots; slot += Slices) {
      const float* const from = s.partials + slot * s.n + first;
      if constexpr (V == 4) {
        const float4 v = *reinterpret_cast<const float4*>(from);
        sum[0] += v.x, sum[1] += v.y, sum[2] += v.z, sum[3] += v.w;
      } else {
        sum[0] += *from;
      }
    }
  }
  if constexpr (Slices > 1) {
#pragma unroll
    for (int v = 0; v < V; ++v) parts[slice][lane * V + v] = sum[v];
    __syncthreads();
    if (slice == 0) {
#pragma unroll
      for (int l = 1; l < Slices; ++l)
#pragma unroll
        for (int v = 0; v < V; ++v) sum[v] += parts[l][lane * V + v];
    }
  }
  if (slice > 0 || first >= s.n) return;
  if (s.active.rows && active_row(s.active, first / s.columns, s.all_rows) < 0) return;
  const std::int64_t column = s.bias ? first % s.columns : 0;
#pragma unroll
  for (int v = 0; v < V; ++v) {
    if (s.bias) sum[v] += s.bias[column + v];
    if (s.relu && sum[v] < 0.0f) sum[v] = 0.0f;  // NaN passes
  }
  if constexpr (V == 4)
    *reinterpret_cast<float4*>(s.out + first) = make_float4(sum[0], sum[1], sum[2], sum[3]);
  else
    s.out[first] = sum[0];
}

template <int V>
void sum_vectors(const SlotSum& s) {
  const std::int64_t vectors = s.n / V;
  if (s.slots >= 16)
    launch("slot_sum_kernel", slot_sum_kernel<V, 8>, blocks_for(vectors, kThreads / 8, INT32_MAX),
           kThreads, 0, s);
  else
    launch("slot_sum_kernel", slot_sum_kernel<V, 1>, blocks_for(vectors, kThreads, INT32_MAX),
           kThreads, 0, s);
}

}  // namespace

void sum_slots(const SlotSum& s) {
  const bool wide = s.columns % 4 == 0 && aligned16(s.out) && aligned16(s.partials);
  wide ? sum_vectors<4>(s) : sum_vectors<1>(s);
}

}  // namespace sentei::cuda
