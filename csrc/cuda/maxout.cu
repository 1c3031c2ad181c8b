// y = max over the pieces of a unit, index = the first piece that has it (or the first NaN):
// 4 pieces + 5 bytes moved per unit. For 2 to 5 pieces a thread takes four units in registers, as
// 16-byte vectors; otherwise W lanes share a unit, lane j scanning pieces j, j + W, ... Backward
// writes every element of dx once, 16 bytes at a time: dy at the winning piece, else 0.
#include "cuda/device/elementwise.cuh"
#include "cuda/device/reduce.cuh"
#include "cuda/table.cuh"
#include "kernels/maxout.hpp"

namespace sentei::cuda {
namespace {

constexpr int kThreads = 256, kUnits = 4;

struct Best {
  float value;
  int piece;
};

// Larger, or the first NaN; pieces come in order.
__device__ __forceinline__ void take(Best& best, float v, int piece) {
  if (v > best.value || (v != v && best.value == best.value)) best = {v, piece};
}

// Whether b comes before a when their pieces come in no order.
__device__ __forceinline__ bool beats(Best b, Best a) {
  const bool nan_a = a.value != a.value, nan_b = b.value != b.value;
  if (nan_a || nan_b) return nan_b && (!nan_a || b.piece < a.piece);
  return b.value > a.value || (b.value == a.value && b.piece < a.piece);
}

template <int K>
__global__ void __launch_bounds__(kThreads)
    maxout_forward_quad_kernel(std::int64_t units, const float* __restrict__ x,
                               float* __restrict__ y, std::uint8_t* __restrict__ index) {
  const std::int64_t first = std::int64_t{blockIdx.x} * kThreads + threadIdx.x;
  const std::int64_t step = std::int64_t{gridDim.x} * kThreads, quads = units / 4;
  for (std::int64_t q = first; q < quads; q += step) {
    float v[4 * K];
#pragma unroll
    for (int i = 0; i < K; ++i) {
      const float4 part = reinterpret_cast<const float4*>(x)[q * K + i];
      v[4 * i] = part.x;
      v[4 * i + 1] = part.y;
      v[4 * i + 2] = part.z;
      v[4 * i + 3] = part.w;
    }
    Best best[4];
#pragma unroll
    for (int u = 0; u < 4; ++u) {
      best[u] = {v[u * K], 0};
#pragma unroll
      for (int p = 1; p < K; ++p) take(best[u], v[u * K + p], p);
    }
    reinterpret_cast<float4*>(y)[q] =
        make_float4(best[0].value, best[1].value, best[2].value, best[3].value);
    reinterpret_cast<std::uint32_t*>(index)[q] = static_cast<std::uint32_t>(
        best[0].piece | best[1].piece << 8 | best[2].piece << 16 | best[3].piece << 24);
  }
  for (std::int64_t u = 4 * quads + first; u < units; u += step) {
    Best best{x[u * K], 0};
#pragma unroll
    for (int p = 1; p < K; ++p) take(best, x[u * K + p], p);
    y[u] = best.value;
    index[u] = static_cast<std::uint8_t>(best.piece);
  }
}

template <int W>
__global__ void __launch_bounds__(kThreads)
    maxout_forward_lanes_kernel(std::int64_t units, int pieces, const float* __restrict__ x,
                                float* __restrict__ y, std::uint8_t* __restrict__ index) {
  constexpr int kGroups = kThreads / W;
  const int lane = static_cast<int>(threadIdx.x) % W, group = static_cast<int>(threadIdx.x) / W;
  // kUnits at a time, so that their loads overlap; the whole block stays in step, for the shuffles.
  for (std::int64_t base = std::int64_t{blockIdx.x} * kGroups * kUnits; base < units;
       base += std::int64_t{gridDim.x} * kGroups * kUnits) {
    Best best[kUnits];
#pragma unroll
    for (int j = 0; j < kUnits; ++j) best[j] = {-INFINITY, 256};  // loses to every piece
    for (int p = lane; p < pieces; p += W)
#pragma unroll
      for (int j = 0; j < kUnits; ++j) {
        const std::int64_t u = base + j * kGroups + group;
        if (u < units) {
          const float v = x[u * pieces + p];
          if (p == lane)
            best[j] = {v, p};
          else
            take(best[j], v, p);
        }
      }
#pragma unroll
    for (int j = 0; j < kUnits; ++j) {
#pragma unroll
      for (int d = W / 2; d > 0; d /= 2) {
        const Best other{__shfl_xor_sync(kFullWarp, best[j].value, d),
                         __shfl_xor_sync(kFullWarp, best[j].piece, d)};
        if (beats(other, best[j])) best[j] = other;
      }
      const std::int64_t u = base + j * kGroups + group;
      if (u < units && lane == 0) {
        y[u] = best[j].value;
        index[u] = static_cast<std::uint8_t>(best[j].piece);
      }
    }
  }
}

// Block b takes units [b, b + 1) per: at most some thousand elements, so that dividing is cheap.
template <bool Wide>
__global__ void __launch_bounds__(kThreads)
    maxout_backward_kernel(std::int64_t units, int pieces, int per, const float* __restrict__ dy,
                           const std::uint8_t* __restrict__ index, float* __restrict__ dx) {
  const std::int64_t base = std::int64_t{blockIdx.x} * per;
  const int here = static_cast<int>(units - base < per ? units - base : per);
  const int n = here * pieces;
  float* const to = dx + base * pieces;
  const auto value = [&](int u, int p) {
    // An index that no forward pass wrote must not reach outside the unit.
    const int at = index[base + u] < pieces ? index[base + u] : pieces - 1;
    return p == at ? dy[base + u] : 0.0f;
  };
  const int vectors = Wide ? n / 4 : 0;
  if constexpr (Wide) {
    for (int i = static_cast<int>(threadIdx.x); i < vectors; i += kThreads) {
      int u = static_cast<int>(4u * static_cast<unsigned>(i) / static_cast<unsigned>(pieces));
      int p = 4 * i - u * pieces;
      float v[4];
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        v[j] = value(u, p);
        if (++p == pieces) {
          p = 0;
          ++u;
        }
      }
      reinterpret_cast<float4*>(to)[i] = make_float4(v[0], v[1], v[2], v[3]);
    }
  }
  for (int i = 4 * vectors + static_cast<int>(threadIdx.x); i < n; i += kThreads)
    to[i] = value(i / pieces, i % pieces);
}

template <int K>
void forward_quad(std::int64_t units, const float* x, float* y, std::uint8_t* index) {
  launch("maxout_forward_quad_kernel", maxout_forward_quad_kernel<K>,
         blocks_for(units / 4 + units % 4, kThreads, 8192), kThreads, 0, units, x, y, index);
}

template <int W>
void forward_lanes(std::int64_t units, std::int64_t pieces, const float* x, float* y,
                   std::uint8_t* index) {
  launch("maxout_forward_lanes_kernel", maxout_forward_lanes_kernel<W>,
         blocks_for(units, kThreads / W * kUnits), kThreads, 0, units, static_cast<int>(pieces), x,
         y, index);
}

void forward(std::int64_t units, std::int64_t pieces, const float* x, float* y,
             std::uint8_t* index) {
  if (aligned16(x) && aligned16(y) && reinterpret_cast<std::uintptr_t>(index) % 4 == 0) {
    if (pieces == 2) return forward_quad<2>(units, x, y, index);
    if (pieces == 3) return forward_quad<3>(units, x, y, index);
    if (pieces == 4) return forward_quad<4>(units, x, y, index);
    if (pieces == 5) return forward_quad<5>(units, x, y, index);
  }
  if (pieces <= 4) return forward_lanes<1>(units, pieces, x, y, index);
  if (pieces <= 32) return forward_lanes<8>(units, pieces, x, y, index);
  forward_lanes<32>(units, pieces, x, y, index);
}

void backward(std::int64_t units, std::int64_t pieces, const float* dy, const std::uint8_t* index,
              float* dx) {
  const std::int64_t per = 4096 / pieces / 4 * 4;  // at least 16: the block starts on 16 bytes
  launch("maxout_backward_kernel",
         aligned16(dx) ? maxout_backward_kernel<true> : maxout_backward_kernel<false>,
         static_cast<unsigned>(ceil_div(units, per)), kThreads, 0, units, static_cast<int>(pieces),
         static_cast<int>(per), dy, index, dx);
}

}  // namespace
}  // namespace sentei::cuda
SENTEI_CUDA_TABLE(MaxoutKernels, maxout_kernels, forward, backward)
