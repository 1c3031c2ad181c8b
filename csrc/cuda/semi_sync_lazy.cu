// Semi-synchronous update with lazy momentum: w and v of idle groups are left alone, their
// m <- momentum m, c <- c + m stand for all of it. A thread walks the elements of the active rows,
// 20 bytes each: w1 = w + c v, v = momentum m v - lr (dw + decay w1), w = w1 + v. m and c are those
// of before; a second kernel of one thread per group moves them on, once every block has read them.
// The passes over all rows (w += c v, v *= m in place, or w + c v into another tensor) give a block
// one row after another: 16 or 12 bytes per element. 16 bytes at a time where rows allow. No order
// matters. Nothing can be refused here: see semi_sync_rows.cuh; a row that is out of range, or
// whose group is, is left out, and is NaN in the copy.
#include "cuda/device/elementwise.cuh"
#include "cuda/device/semi_sync_rows.cuh"
#include "cuda/semi_sync_lazy.hpp"
#include "cuda/table.cuh"

namespace sentei::cuda {
namespace {

using kernels::LazyWeight;
using kernels::SemiSyncRows;

constexpr int kThreads = 256;

template <class F, class T>
__device__ __forceinline__ void each(F f, T& a, T& b, const T& c) {
  if constexpr (sizeof(T) == 16) {
    f(a.x, b.x, c.x);
    f(a.y, b.y, c.y);
    f(a.z, b.z, c.z);
    f(a.w, b.w, c.w);
  } else {
    f(a, b, c);
  }
}

// T: float4, width then counts those of a row, or float.
template <class T>
__global__ void __launch_bounds__(kThreads)
    semi_sync_update_lazy_kernel(SemiSyncRows r, std::int64_t width, T* w, const T* dw, T* v,
                                 const float* coef, const float* lr, float momentum, float decay) {
  const Active a = active_of(r);
  if (a.group < 0) return;
  const float rate = *lr, keep = momentum * coef[2 * a.group], c = coef[2 * a.group + 1];
  const std::int64_t step = std::int64_t{gridDim.x} * kThreads;
  for (std::int64_t i = std::int64_t{blockIdx.x} * kThreads + threadIdx.x; i < a.count * width;
       i += step) {
    const std::int64_t place = i / width, column = i - place * width;
    const std::int64_t row = r.rows[a.begin + place];
    if (row < 0 || row >= r.count) continue;
    const std::int64_t at = row * width + column;
    T now = w[at], change = v[at];
    const T g = dw[place * width + column];
    each(
        [=](float& w_, float& v_, float g_) {
          const float settled = fmaf(c, v_, w_);
          v_ = fmaf(keep, v_, -(rate * fmaf(decay, settled, g_)));
          w_ = settled + v_;
        },
        now, change, g);
    v[at] = change;
    w[at] = now;
  }
}

__global__ void __launch_bounds__(kThreads)
    semi_sync_coef_kernel(SemiSyncRows r, float* coef, float momentum) {
  const std::int64_t active = active_of(r).group;
  for (std::int64_t g = threadIdx.x; g < r.groups; g += kThreads) {
    const float m = momentum * coef[2 * g];
    coef[2 * g + 1] = g == active ? 0.0f : coef[2 * g + 1] + m;
    coef[2 * g] = g == active ? 1.0f : m;
  }
}

__global__ void __launch_bounds__(kThreads)
    semi_sync_settled_kernel(std::int64_t groups, float* coef) {
  for (std::int64_t g = threadIdx.x; g < groups; g += kThreads) {
    coef[2 * g] = 1.0f;
    coef[2 * g + 1] = 0.0f;
  }
}

struct AllRows {
  std::int64_t rows, width;
  const float* coef;
  const std::int32_t* group_of;
  std::int64_t groups;
};

template <class T>
__global__ void __launch_bounds__(kThreads)
    semi_sync_materialise_kernel(const AllRows all, T* w, T* v) {
  for (std::int64_t row = blockIdx.x; row < all.rows; row += gridDim.x) {
    const std::int64_t group = all.group_of[row];
    if (group < 0 || group >= all.groups) continue;
    const float m = all.coef[2 * group], c = all.coef[2 * group + 1];
    for (std::int64_t i = row * all.width + threadIdx.x; i < (row + 1) * all.width; i += kThreads) {
      T now = w[i], change = v[i];
      each(
          [=](float& w_, float& v_, float) {
            w_ = fmaf(c, v_, w_);
            v_ *= m;
          },
          now, change, now);
      w[i] = now;
      v[i] = change;
    }
  }
}

template <class T>
__global__ void __launch_bounds__(kThreads, 4)
    semi_sync_lazy_weight_kernel(const AllRows all, const T* w, const T* v, T* out) {
  for (std::int64_t row = blockIdx.x; row < all.rows; row += gridDim.x) {
    const std::int64_t group = all.group_of[row];
    const bool good = group >= 0 && group < all.groups;
    const float c = good ? all.coef[2 * group + 1] : __int_as_float(0x7fc00000);
    for (std::int64_t i = row * all.width + threadIdx.x; i < (row + 1) * all.width; i += kThreads) {
      T now = w[i];
      each([=](float& w_, float&, float v_) { w_ = fmaf(c, v_, w_); }, now, now, v[i]);
      out[i] = now;
    }
  }
}

template <class T>
T* as(float* p) {
  return reinterpret_cast<T*>(p);
}
template <class T>
const T* as(const float* p) {
  return reinterpret_cast<const T*>(p);
}

template <class T>
void update_as(const SemiSyncRows& r, std::int64_t width, float* w, const float* dw, float* v,
               const float* coef, const float* lr, float momentum, float decay) {
  // How many rows are active is known to the device alone: blocks for groups of even sizes.
  const std::int64_t expected = ceil_div(r.count, r.groups) * width;
  launch("semi_sync_update_lazy_kernel", semi_sync_update_lazy_kernel<T>,
         blocks_for(expected, kThreads, 8192), kThreads, 0, r, width, as<T>(w), as<T>(dw), as<T>(v),
         coef, lr, momentum, decay);
}

void update(const SemiSyncRows& r, float* w, const float* dw, float* v, float* coef,
            const float* lr, float momentum, float decay) {
  const bool wide = r.width % 4 == 0 && aligned16(w) && aligned16(dw) && aligned16(v);
  if (wide)
    update_as<float4>(r, r.width / 4, w, dw, v, coef, lr, momentum, decay);
  else
    update_as<float>(r, r.width, w, dw, v, coef, lr, momentum, decay);
  launch("semi_sync_coef_kernel", semi_sync_coef_kernel, 1, kThreads, 0, r, coef, momentum);
}

void materialise(std::int64_t rows, std::int64_t width, float* w, float* v, float* coef,
                 const std::int32_t* group_of, std::int64_t groups) {
  const char* name = "semi_sync_materialise_kernel";
  const unsigned blocks = width ? blocks_for(rows, 1, 8192) : 0;
  if (width % 4 == 0 && aligned16(w) && aligned16(v))
    launch(name, semi_sync_materialise_kernel<float4>, blocks, kThreads, 0,
           AllRows{rows, width / 4, coef, group_of, groups}, as<float4>(w), as<float4>(v));
  else
    launch(name, semi_sync_materialise_kernel<float>, blocks, kThreads, 0,
           AllRows{rows, width, coef, group_of, groups}, w, v);
  launch("semi_sync_settled_kernel", semi_sync_settled_kernel, 1, kThreads, 0, groups, coef);
}

}  // namespace

void semi_sync_lazy_weight(std::int64_t rows, std::int64_t width, const LazyWeight& weight,
                           float* out) {
  const char* name = "semi_sync_lazy_weight_kernel";
  const unsigned blocks = width ? blocks_for(rows, 1, 8192) : 0;
  AllRows all = {rows, width, weight.coef, weight.group_of, weight.groups};
  if (width % 4 == 0 && aligned16(weight.w) && aligned16(weight.v) && aligned16(out)) {
    all.width /= 4;
    launch(name, semi_sync_lazy_weight_kernel<float4>, blocks, kThreads, 0, all,
           as<float4>(weight.w), as<float4>(weight.v), as<float4>(out));
  } else {
    launch(name, semi_sync_lazy_weight_kernel<float>, blocks, kThreads, 0, all, weight.w, weight.v,
           out);
  }
}

}  // namespace sentei::cuda
SENTEI_CUDA_TABLE(SemiSyncLazyKernels, semi_sync_lazy_kernels, update, materialise,
                  semi_sync_lazy_weight)
