// Semi-synchronous update; the kernels find the active rows themselves, from rows, offsets and
// group in device memory. Without momentum a thread walks the elements of the active rows alone: 12
// bytes each. With momentum a block owns 2048 neighbouring elements of w, looks once which of its
// rows are in the list of active ones (their places go to shared memory), and all its elements move
// in one pass: 20 bytes per active element, 16 per idle one. 16 bytes at a time where rows allow.
// No order matters. Nothing can be refused here: a group that is out of range, or whose offsets
// are, has no rows, and an entry of rows out of range is passed over.
#include "cuda/device/elementwise.cuh"
#include "cuda/device/semi_sync_rows.cuh"
#include "cuda/table.cuh"
#include "kernels/semi_sync.hpp"

namespace sentei::cuda {
namespace {

using kernels::SemiSyncRows;

constexpr int kThreads = 256, kChunk = 2048;

struct Rule {
  float rate, momentum, decay;
  __device__ __forceinline__ float plain(float w, float g) const {
    return fmaf(-rate, fmaf(decay, w, g), w);
  }
  __device__ __forceinline__ float active(float w, float g, float v) const {
    return fmaf(momentum, v, -(rate * fmaf(decay, w, g)));
  }
};

// T: float4, width then counts those of a row, or float.
template <class T>
__global__ void __launch_bounds__(kThreads)
    semi_sync_update_plain_kernel(SemiSyncRows r, std::int64_t width, T* w, const T* dw,
                                  const float* lr, float decay) {
  const Active a = active_of(r);
  const Rule rule{*lr, 0, decay};
  const std::int64_t step = std::int64_t{gridDim.x} * kThreads;
  for (std::int64_t i = std::int64_t{blockIdx.x} * kThreads + threadIdx.x; i < a.count * width;
       i += step) {
    const std::int64_t place = i / width, column = i - place * width;
    const std::int64_t row = r.rows[a.begin + place];
    if (row < 0 || row >= r.count) continue;
    T now = w[row * width + column];
    const T g = dw[(r.compact ? place : row) * width + column];
    if constexpr (sizeof(T) == 16) {
      now.x = rule.plain(now.x, g.x);
      now.y = rule.plain(now.y, g.y);
      now.z = rule.plain(now.z, g.z);
      now.w = rule.plain(now.w, g.w);
    } else {
      now = rule.plain(now, g);
    }
    w[row * width + column] = now;
  }
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    semi_sync_update_momentum_kernel(SemiSyncRows r, std::int64_t width, T* w, const T* dw, T* v,
                                     const float* lr, float momentum, float decay) {
  constexpr int kEach = kChunk * 4 / static_cast<int>(sizeof(T)) / kThreads;
  constexpr int kItems = kEach * kThreads;  // of a block, whose rows have an item each at least
  SENTEI_SHARED(int, place, [kItems]);
  const std::int64_t all = r.count * width, start = std::int64_t{blockIdx.x} * kItems;
  const std::int64_t end = start + kItems < all ? start + kItems : all;
  T now[kEach], change[kEach];
#pragma unroll
  for (int e = 0; e < kEach; ++e) {  // under way while the rows are looked up
    const std::int64_t i = start + e * kThreads + threadIdx.x;
    if (i >= end) continue;
    now[e] = w[i];
    change[e] = v[i];
  }
  const std::int64_t low = start / width, high = (end - 1) / width;  // the block's rows
  const Active a = active_of(r);
  for (std::int64_t i = threadIdx.x; i <= high - low; i += kThreads) place[i] = -1;
  __syncthreads();
  for (std::int64_t k = threadIdx.x; k < a.count; k += kThreads) {
    const std::int64_t row = r.rows[a.begin + k];
    if (row >= low && row <= high) place[row - low] = static_cast<int>(k);
  }
  __syncthreads();
  const Rule rule{*lr, momentum, decay};
  const std::int64_t skip = start - low * width;  // of the first row
#pragma unroll
  for (int e = 0; e < kEach; ++e) {
    const std::int64_t i = start + e * kThreads + threadIdx.x;
    if (i >= end) continue;
    const std::int64_t at = i - start + skip;
    // Wide rows: the block reaches into the next one at most.
    const int row =
        width >= kItems
            ? at >= width
            : static_cast<int>(static_cast<unsigned>(at) / static_cast<unsigned>(width));
    const int k = place[row];
    if (k >= 0) {
      const T g = dw[r.compact ? k * width + (at - row * width) : i];
      if constexpr (sizeof(T) == 16) {
        change[e].x = rule.active(now[e].x, g.x, change[e].x);
        change[e].y = rule.active(now[e].y, g.y, change[e].y);
        change[e].z = rule.active(now[e].z, g.z, change[e].z);
        change[e].w = rule.active(now[e].w, g.w, change[e].w);
      } else {
        change[e] = rule.active(now[e], g, change[e]);
      }
    } else if constexpr (sizeof(T) == 16) {
      change[e].x *= momentum;
      change[e].y *= momentum;
      change[e].z *= momentum;
      change[e].w *= momentum;
    } else {
      change[e] *= momentum;
    }
    v[i] = change[e];
    if constexpr (sizeof(T) == 16) {
      now[e].x += change[e].x;
      now[e].y += change[e].y;
      now[e].z += change[e].z;
      now[e].w += change[e].w;
    } else {
      now[e] += change[e];
    }
    w[i] = now[e];
  }
}

template <class T>
void update_as(const SemiSyncRows& r, std::int64_t width, float* w, const float* dw, float* v,
               const float* lr, float momentum, float decay) {
  const auto as = [](float* p) { return reinterpret_cast<T*>(p); };
  const T* const g = reinterpret_cast<const T*>(dw);
  if (v) {
    launch(
        "semi_sync_update_momentum_kernel", semi_sync_update_momentum_kernel<T>,
        static_cast<unsigned>(ceil_div(r.count * width, kChunk * 4 / static_cast<int>(sizeof(T)))),
        kThreads, 0, r, width, as(w), g, as(v), lr, momentum, decay);
    return;
  }
  // How many rows are active is known to the device alone: blocks for groups of even sizes.
  const std::int64_t expected = ceil_div(r.count, r.groups) * width;
  launch("semi_sync_update_plain_kernel", semi_sync_update_plain_kernel<T>,
         blocks_for(expected, kThreads, 8192), kThreads, 0, r, width, as(w), g, lr, decay);
}

void update(const SemiSyncRows& r, float* w, const float* dw, float* v, const float* lr,
            float momentum, float decay) {
  const bool wide = r.width % 4 == 0 && aligned16(w) && aligned16(dw) && aligned16(v);
  if (wide)
    update_as<float4>(r, r.width / 4, w, dw, v, lr, momentum, decay);
  else
    update_as<float>(r, r.width, w, dw, v, lr, momentum, decay);
}

template <class T>
__global__ void counter_advance_kernel(T* counter, std::int64_t modulo) {
  constexpr std::int64_t kMost =
      sizeof(T) == 4 ? std::int64_t{0x7fffffff} : std::int64_t{0x7fffffffffffffff};
  const std::int64_t now = *counter;
  if (now < 0 || now >= kMost) return;
  *counter = static_cast<T>(modulo ? (now + 1) % modulo : now + 1);
}

void advance(void* counter, bool wide, std::int64_t modulo) {
  const char* name = "counter_advance_kernel";
  if (wide)
    launch(name, counter_advance_kernel<std::int64_t>, 1, 1, 0, static_cast<std::int64_t*>(counter),
           modulo);
  else
    launch(name, counter_advance_kernel<std::int32_t>, 1, 1, 0, static_cast<std::int32_t*>(counter),
           modulo);
}

}  // namespace
}  // namespace sentei::cuda
SENTEI_CUDA_TABLE(SemiSyncKernels, semi_sync_kernels, update, advance)
