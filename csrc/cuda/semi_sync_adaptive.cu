// AdaGrad, RMSprop and Adam on the active rows alone: a block has a row at a time, finds it from
// rows, offsets and group in device memory, and moves 20 bytes per element of it (Adam 28); idle
// rows are not touched. Adam's corrections 1 - beta^t are computed in double, once per row, from
// the row's own count, which goes up by one when all of the row has read it. No order matters.
// Nothing can be refused here: a group that is out of range, or whose offsets are, has no rows, and
// an entry of rows out of range is passed over.
#include "cuda/device/adaptive_rules.cuh"
#include "cuda/device/elementwise.cuh"
#include "cuda/device/semi_sync_rows.cuh"
#include "cuda/table.cuh"
#include "kernels/semi_sync_adaptive.hpp"

namespace sentei::cuda {
namespace {

using kernels::AdamScalars;
using kernels::SemiSyncRows;

constexpr int kThreads = 256;

template <class Rule>
__global__ void __launch_bounds__(kThreads)
    semi_sync_adaptive_update_kernel(SemiSyncRows r, float* w, const float* dw, float* a, float* b,
                                     std::int64_t* count, Rule rule) {
  SENTEI_SHARED(float, scalars, [2]);
  const Active active = active_of(r);
  for (std::int64_t place = blockIdx.x; place < active.count; place += gridDim.x) {
    const std::int64_t row = r.rows[active.begin + place];
    if (row < 0 || row >= r.count) continue;  // the whole block alike
    const std::int64_t t = Rule::kTwo ? count[row] + 1 : 1;
    if (threadIdx.x < 2) scalars[threadIdx.x] = rule.scalar(static_cast<int>(threadIdx.x), t);
    __syncthreads();
    if (Rule::kTwo && threadIdx.x == 0) count[row] = t;
    const float first = scalars[0], second = scalars[1];
    const std::int64_t at = row * r.width, from = (r.compact ? place : row) * r.width;
    for (std::int64_t i = threadIdx.x; i < r.width; i += kThreads) {
      float moment = 0;
      if constexpr (Rule::kTwo) moment = b[at + i];
      rule.step(w[at + i], dw[from + i], a[at + i], moment, first, second);
      if constexpr (Rule::kTwo) b[at + i] = moment;
    }
    __syncthreads();  // the scalars have been read
  }
}

template <class Rule>
void update(const char* name, const SemiSyncRows& r, float* w, const float* dw, float* a, float* b,
            std::int64_t* count, const Rule& rule) {
  // How many rows are active is known to the device alone: a block for each of an even group.
  const std::int64_t expected = ceil_div(r.count, r.groups);
  if (expected == 0) return;
  launch(name, semi_sync_adaptive_update_kernel<Rule>, blocks_for(expected, 1, 8192), kThreads, 0,
         r, w, dw, a, b, count, rule);
}

void adagrad(const SemiSyncRows& r, float* w, const float* dw, float* h, const float* lr, float eps,
             float decay) {
  update("semi_sync_adagrad_update_kernel", r, w, dw, h, nullptr, nullptr, AdaGrad{lr, eps, decay});
}

void rmsprop(const SemiSyncRows& r, float* w, const float* dw, float* h, const float* lr,
             float alpha, float keep, float eps, float decay) {
  update("semi_sync_rmsprop_update_kernel", r, w, dw, h, nullptr, nullptr,
         RmsProp{lr, alpha, keep, eps, decay});
}

void adam(const SemiSyncRows& r, float* w, const float* dw, float* m, float* v, std::int64_t* count,
          const float* lr, const AdamScalars& s) {
  const char* name = "semi_sync_adam_update_kernel";
  if (s.eps_inside)
    update(name, r, w, dw, m, v, count, adam_rule<true>(nullptr, lr, s));
  else
    update(name, r, w, dw, m, v, count, adam_rule<false>(nullptr, lr, s));
}

}  // namespace
}  // namespace sentei::cuda
SENTEI_CUDA_TABLE(SemiSyncAdaptiveKernels, semi_sync_adaptive_kernels, adagrad, rmsprop, adam)
