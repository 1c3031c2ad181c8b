// Semi-synchronous update; the kernels find the active rows themselves, from rows, offsets and
// group in device memory. Without momentum a thread walks the elements of the active rows alone: 12
// bytes each. With momentum a block owns 2048 neighbouring elements of w, looks once which of its
// rows are in the list of active ones (their places go to shared memory), and all its elements move
// in one pass: 20 bytes per active element, 16 per idle one. 16 bytes at a time where rows allow.
// No order matters. Nothing can be refused here: a group that is out of range, or whose offsets
// are, has no rows, and an entry of rows out of range is passed over.
#include "cuda/device/elementwise.cuh"
#include "cuda/table.cuh"
#include "kernels/semi_sync.hpp"

namespace sentei::cuda {
namespace {

using kernels::SemiSyncRows;

constexpr int kThreads = 256, kChunk = 2048;

struct Active {
  std::int64_t begin, count;
};

__device__ __forceinline__ Active active_of(const SemiSyncRows& r) {
  const std::int64_t t = r.wide ? *static_cast<const std::int64_t*>(r.group)
                                : *static_cast<const std::int32_t*>(r.group);
  if (t < 0 || t >= r.groups) return {0, 0};
  const std::int64_t begin = r.offsets[t], end = r.offsets[t + 1];
  const bool good = begin >= 0 && begin <= end && end <= r.count && end - begin <= r.dw_rows;
  return good ? Active{begin, end - begin} : Active{0, 0};
}

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
  constexpr int kItems = kChunk * 4 / static_cast<int>(sizeof(T));  // per block
  SENTEI_SHARED(int, place, [kItems]);                              // rows have an item at least
  const std::int64_t all = r.count * width, start = std::int64_t{blockIdx.x} * kItems;
  const std::int64_t end = start + kItems < all ? start + kItems : all;
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
#pragma unroll 2
  for (std::int64_t i = start + threadIdx.x; i < end; i += kThreads) {
    const std::int64_t row = low == high ? low : low + (i - start + skip) / width;
    const int k = place[row - low];
    T now = w[i], change = v[i];
    if (k >= 0) {
      const T g = dw[r.compact ? k * width + (i - row * width) : i];
      if constexpr (sizeof(T) == 16) {
        change.x = rule.active(now.x, g.x, change.x);
        change.y = rule.active(now.y, g.y, change.y);
        change.z = rule.active(now.z, g.z, change.z);
        change.w = rule.active(now.w, g.w, change.w);
      } else {
        change = rule.active(now, g, change);
      }
    } else if constexpr (sizeof(T) == 16) {
      change = {momentum * change.x, momentum * change.y, momentum * change.z, momentum * change.w};
    } else {
      change *= momentum;
    }
    v[i] = change;
    if constexpr (sizeof(T) == 16)
      now = {now.x + change.x, now.y + change.y, now.z + change.z, now.w + change.w};
    else
      now += change;
    w[i] = now;
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
