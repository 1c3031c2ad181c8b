// Parameter updates. Every tensor is read once and written once, 16 bytes at a time (SGD with
// momentum: 20 bytes per element); each element is on its own, so no order matters. SGD of any
// number of parameters is one launch per 90 of them: their pointers and sizes travel as a kernel
// parameter, a block finds its parameter and its 2048 elements there by bisection. lr and t are
// read from device memory; Adam's corrections 1 - beta^t are computed in double, once per block.
// t < 1 is not refused here: it makes w infinite or NaN.
#include "cuda/device/adaptive_rules.cuh"
#include "cuda/device/elementwise.cuh"
#include "cuda/table.cuh"
#include "kernels/optimizers.hpp"

namespace sentei::cuda {
namespace {

using kernels::AdamScalars;
using kernels::SgdTensor;

constexpr int kThreads = 256, kVectors = 2;  // float4 per thread
constexpr std::int64_t kBlock = 4 * kVectors * kThreads;
constexpr int kMost = 90;

// In constant memory while the kernel runs; at most 4 KB of parameters are allowed.
struct SgdTable {
  SgdTensor tensors[kMost];
  std::uint32_t first[kMost + 1];  // block with which each begins
  int count;
};
static_assert(sizeof(SgdTable) <= 4000);

__device__ __forceinline__ bool aligned(const void* p) {
  return (reinterpret_cast<std::uintptr_t>(p) & 15) == 0;
}

struct Sgd {
  float rate, momentum, decay;
  __device__ __forceinline__ void plain(float& w, float g) const {
    w = fmaf(-rate, fmaf(decay, w, g), w);
  }
  __device__ __forceinline__ void moving(float& w, float g, float& v) const {
    v = fmaf(momentum, v, -(rate * fmaf(decay, w, g)));
    w += v;
  }
};

__global__ void __launch_bounds__(kThreads)
    sgd_update_kernel(const __grid_constant__ SgdTable table, const float* lr) {
  int low = 0, high = table.count;  // the parameter whose blocks hold this one
  while (high - low > 1) {
    const int middle = (low + high) / 2;
    if (table.first[middle] <= blockIdx.x)
      low = middle;
    else
      high = middle;
  }
  const SgdTensor& s = table.tensors[low];
  const std::int64_t begin = std::int64_t{blockIdx.x - table.first[low]} * kBlock;
  const std::int64_t left = s.n - begin;
  const int n = static_cast<int>(left < kBlock ? left : kBlock);
  float* const w = s.w + begin;
  const float* const g = s.g + begin;
  float* const v = s.v ? s.v + begin : nullptr;
  const Sgd step{*lr, s.momentum, s.decay};
  const int vectors = aligned(w) && aligned(g) && aligned(v) ? n / 4 : 0;
  float4 *const w4 = reinterpret_cast<float4*>(w), *const v4 = reinterpret_cast<float4*>(v);
  const float4* const g4 = reinterpret_cast<const float4*>(g);
  float4 ws[kVectors], gs[kVectors], vs[kVectors];
#pragma unroll
  for (int k = 0; k < kVectors; ++k) {  // all loads before the first store
    const int i = k * kThreads + static_cast<int>(threadIdx.x);
    if (i >= vectors) continue;
    ws[k] = w4[i];
    gs[k] = g4[i];
    if (v) vs[k] = v4[i];
  }
#pragma unroll
  for (int k = 0; k < kVectors; ++k) {
    const int i = k * kThreads + static_cast<int>(threadIdx.x);
    if (i >= vectors) continue;
    if (v) {
      step.moving(ws[k].x, gs[k].x, vs[k].x);
      step.moving(ws[k].y, gs[k].y, vs[k].y);
      step.moving(ws[k].z, gs[k].z, vs[k].z);
      step.moving(ws[k].w, gs[k].w, vs[k].w);
      v4[i] = vs[k];
    } else {
      step.plain(ws[k].x, gs[k].x);
      step.plain(ws[k].y, gs[k].y);
      step.plain(ws[k].z, gs[k].z);
      step.plain(ws[k].w, gs[k].w);
    }
    w4[i] = ws[k];
  }
  for (int i = 4 * vectors + static_cast<int>(threadIdx.x); i < n; i += kThreads) {
    if (v)
      step.moving(w[i], g[i], v[i]);
    else
      step.plain(w[i], g[i]);
  }
}

void sgd_many(std::int64_t count, const SgdTensor* tensors, const float* lr) {
  SgdTable table{};
  std::int64_t blocks = 0;
  const auto flush = [&] {
    if (table.count)
      launch("sgd_update_kernel", sgd_update_kernel, static_cast<unsigned>(blocks), kThreads, 0,
             table, lr);
    table.count = 0;
    blocks = 0;
  };
  constexpr std::int64_t kMostBlocks = 1 << 30;
  for (std::int64_t i = 0; i < count; ++i) {
    SgdTensor rest = tensors[i];
    while (rest.n > 0) {  // one so large that it needs several launches is cut
      if (table.count == kMost || blocks == kMostBlocks) flush();
      SgdTensor part = rest;
      const std::int64_t room = (kMostBlocks - blocks) * kBlock;
      part.n = rest.n < room ? rest.n : room;
      table.tensors[table.count] = part;
      table.first[table.count++] = static_cast<std::uint32_t>(blocks);
      blocks += ceil_div(part.n, kBlock);
      rest.n -= part.n;
      rest.w += part.n;
      rest.g += part.n;
      if (rest.v) rest.v += part.n;
    }
  }
  flush();
}

void sgd(std::int64_t n, float* w, const float* g, float* v, const float* lr, float momentum,
         float decay) {
  const SgdTensor one{n, w, g, v, momentum, decay};
  sgd_many(1, &one, lr);
}

template <class Rule>
__global__ void __launch_bounds__(kThreads)
    adaptive_update_kernel(std::int64_t n, std::int64_t vectors, float* w, const float* g, float* a,
                           float* b, Rule rule) {
  SENTEI_SHARED(float, scalars, [2]);
  if (threadIdx.x < 2) scalars[threadIdx.x] = rule.scalar(static_cast<int>(threadIdx.x));
  __syncthreads();
  const float first_scalar = scalars[0], second_scalar = scalars[1];
  const std::int64_t first = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  const std::int64_t step = std::int64_t{gridDim.x} * blockDim.x;
  for (std::int64_t i = first; i < vectors; i += step) {
    float4 wv = reinterpret_cast<float4*>(w)[i], av = reinterpret_cast<float4*>(a)[i];
    const float4 gv = reinterpret_cast<const float4*>(g)[i];
    float4 bv{};
    if constexpr (Rule::kTwo) bv = reinterpret_cast<float4*>(b)[i];
    rule.step(wv.x, gv.x, av.x, bv.x, first_scalar, second_scalar);
    rule.step(wv.y, gv.y, av.y, bv.y, first_scalar, second_scalar);
    rule.step(wv.z, gv.z, av.z, bv.z, first_scalar, second_scalar);
    rule.step(wv.w, gv.w, av.w, bv.w, first_scalar, second_scalar);
    reinterpret_cast<float4*>(a)[i] = av;
    if constexpr (Rule::kTwo) reinterpret_cast<float4*>(b)[i] = bv;
    reinterpret_cast<float4*>(w)[i] = wv;
  }
  for (std::int64_t i = 4 * vectors + first; i < n; i += step) {
    float second = 0;
    if constexpr (Rule::kTwo) second = b[i];
    rule.step(w[i], g[i], a[i], second, first_scalar, second_scalar);
    if constexpr (Rule::kTwo) b[i] = second;
  }
}

template <class Rule>
void update(const char* name, std::int64_t n, float* w, const float* g, float* a, float* b,
            const Rule& rule) {
  const bool wide = aligned16(w) && aligned16(g) && aligned16(a) && aligned16(b);
  const std::int64_t vectors = wide ? n / 4 : 0, work = vectors + (n - 4 * vectors);
  launch(name, adaptive_update_kernel<Rule>, blocks_for(work, kThreads, 1056), kThreads, 0, n,
         vectors, w, g, a, b, rule);
}

void adagrad(std::int64_t n, float* w, const float* g, float* h, const float* lr, float eps,
             float decay) {
  update("adagrad_update_kernel", n, w, g, h, nullptr, AdaGrad{lr, eps, decay});
}

void rmsprop(std::int64_t n, float* w, const float* g, float* h, const float* lr, float alpha,
             float keep, float eps, float decay) {
  update("rmsprop_update_kernel", n, w, g, h, nullptr, RmsProp{lr, alpha, keep, eps, decay});
}

void adam(std::int64_t n, float* w, const float* g, float* m, float* v, const std::int64_t* t,
          const float* lr, const AdamScalars& s) {
  if (s.eps_inside)
    update("adam_update_kernel", n, w, g, m, v, adam_rule<true>(t, lr, s));
  else
    update("adam_update_kernel", n, w, g, m, v, adam_rule<false>(t, lr, s));
}

}  // namespace
}  // namespace sentei::cuda
SENTEI_CUDA_TABLE(OptimizerKernels, optimizer_kernels, sgd, sgd_many, adagrad, rmsprop, adam)
