// y = max over 2x2 windows of relu?(batch_norm(x)): the map is made while pooling and never
// written. Forward: the statistics of x, then a thread per vector of y: 4 + 5.25 bytes per element
// of x. Backward: a column reduction over windows sums g and g (x - mean) at the winners (reading
// all four elements: their cache lines come anyhow), then a thread per cell of 2x2 elements writes
// dx: 5.25 + 9.25 bytes. With ReLU, g = dy where the winner's value, evaluated again to the same
// bits, is above 0. A last odd row or column is in no window; there g = 0.
#include <type_traits>

#include "cuda/device/batch_norm.cuh"
#include "cuda/device/max_pool2d.cuh"
#include "cuda/table.cuh"
#include "kernels/batch_norm_pool.hpp"

namespace sentei::cuda {
namespace {

using kernels::PoolImage;
using std::int64_t;

constexpr int kWindowBatch = 2;  // windows of four elements

__device__ __forceinline__ Columns plain_columns(int64_t C) {
  Columns v{};
  v.C = C;
  v.copies = 1;
  return v;
}

struct NoStatistics {
  NoStatistics(const GivenStatistics&) {}
};

template <int V, bool Relu, bool Given>
struct NormSource {
  using Column = Affine<V>;
  const float* x;
  int64_t C;
  NormParameters parameters;
  std::conditional_t<Given, GivenStatistics, NoStatistics> given;

  __device__ Column column(int64_t c) const {
    if constexpr (Given) {  // finished by the threads of the first pixel
      if (given.mean && int64_t{blockIdx.x} * kPoolThreads + threadIdx.x < C / V) {
#pragma unroll
        for (int e = 0; e < V; ++e) given.finish(c + e);
      }
    }
    return Column::of(plain_columns(C), c, parameters);
  }
  __device__ Vec<V> load(const Column& f, int64_t i) const {
    Vec<V> u = cuda::load<V>(x + i);
#pragma unroll
    for (int e = 0; e < V; ++e) {
      u.v[e] = f.value(u.v[e], e);
      if (Relu) u.v[e] = ReluEpilogue::value(u.v[e], {}, e);
    }
    return u;
  }
};

// Rows are windows: g = dy, at the winner's x.
template <int V, bool Relu>
struct WindowGradient {
  struct Raw {
    Vec<V> dy, x[4];
    Bytes<V> winner;
  };
  Pool g;
  Pixels windows;
  const float *dy, *x;
  const std::uint8_t* index;

  __device__ Raw load(int64_t i, int) const {
    const Pixel o = windows.at(static_cast<std::uint32_t>(i / V));
    const float* corner = x + g.in(o.n, 2 * o.h, 2 * o.w) + o.c;
    const float* below = corner + g.W * g.C;
    return {cuda::load<V>(dy + i),
            {cuda::load<V>(corner), cuda::load<V>(corner + g.C), cuda::load<V>(below),
             cuda::load<V>(below + g.C)},
            load_bytes<V>(index + i)};
  }
  __device__ static float x_of(const Raw& raw, int e) {
    const int k = raw.winner.v[e];
    const float top = k == 1 ? raw.x[1].v[e] : raw.x[0].v[e];
    const float low = k == 3 ? raw.x[3].v[e] : raw.x[2].v[e];
    return k < 2 ? top : low;
  }
  __device__ static float value(const Affine<V>& f, const Raw& raw, int e) {
    return !Relu || f.value(x_of(raw, e), e) > 0.0f ? raw.dy.v[e] : 0.0f;
  }
};

template <int V, bool Relu>
__global__ void __launch_bounds__(kPoolThreads)
    batch_norm_pool_backward_kernel(std::uint32_t n, Pool g, Pixels cells,
                                    NormParameters parameters, const float* B, const float* D,
                                    const float* dy, const std::uint8_t* index, const float* x,
                                    float* dx) {
  const std::uint32_t i = blockIdx.x * kPoolThreads + threadIdx.x;
  if (i >= n) return;
  const Pixel o = cells.at(i);
  Vec<V> d{};
  Bytes<V> winner{};
  if (o.h < g.P && o.w < g.Q) {
    const int64_t from = g.out(o.n, o.h, o.w) + o.c;
    d = load<V>(dy + from);
    winner = load_bytes<V>(index + from);
  }
  const int64_t corner = g.in(o.n, 2 * o.h, 2 * o.w) + o.c;
  Vec<V> u[4];
#pragma unroll
  for (int t = 0; t < 4; ++t) {
    const bool inside = 2 * o.h + t / 2 < g.H && 2 * o.w + t % 2 < g.W;
    u[t] = inside ? load<V>(x + corner + (int64_t{t / 2} * g.W + t % 2) * g.C) : Vec<V>{};
  }
  const auto k = GradientMap<V>::of(plain_columns(g.C), o.c, parameters, B, D);
#pragma unroll
  for (int t = 0; t < 4; ++t) {
    Vec<V> out;
#pragma unroll
    for (int e = 0; e < V; ++e) {
      const float v = u[t].v[e];
      const bool passes = winner.v[e] == t && (!Relu || k.f.value(v, e) > 0.0f);
      out.v[e] = k.value(passes ? d.v[e] : 0.0f, v, e);
    }
    if (2 * o.h + t / 2 < g.H && 2 * o.w + t % 2 < g.W)
      store<V>(dx + corner + (int64_t{t / 2} * g.W + t % 2) * g.C, out);
  }
}

kernels::Pool2d pool_of(const PoolImage& g) {
  return {g.N, g.H, g.W, g.C, g.H / 2, g.W / 2, 2, 2, 2, 2, 0, 0};
}

int64_t doubles(const PoolImage& g) {
  const int64_t pixels = norm_doubles(g.N * g.H * g.W, g.C);
  const int64_t windows = norm_doubles(g.N * (g.H / 2) * (g.W / 2), g.C);
  return pixels > windows ? pixels : windows;
}

std::size_t workspace(const PoolImage& g) { return norm_workspace(g.C == 0 ? 0 : doubles(g), g.C); }

template <int V, bool Relu, bool Given>
void pool_as(const PoolImage& image, const float* x, float* y, std::uint8_t* index,
             const NormParameters& p, const GivenStatistics& given) {
  const kernels::Pool2d g = pool_of(image);
  const Pool pool(g);
  const Pixels out(g.P, g.Q, g.C, V);
  for_images(
      "batch_norm_pool_forward", g.N, g.P * g.Q * (g.C / V), [&](int64_t first, std::uint32_t n) {
        using Source = NormSource<V, Relu, Given>;
        const int64_t to = first * g.P * g.Q * g.C;
        launch("batch_norm_pool_forward_kernel", max_pool2d_forward_2x2_kernel<V, Source>,
               blocks_for(n, kPoolThreads, n), kPoolThreads, 0, n, pool, out,
               Source{x + first * g.H * g.W * g.C, g.C, p, first == 0 ? given : GivenStatistics{}},
               y + to, index + to);
      });
}

template <bool Given>
void pool(const PoolImage& g, const float* x, float* y, std::uint8_t* index,
          const NormParameters& p, bool relu, const GivenStatistics& given) {
  const bool wide = g.C % 4 == 0 && aligned_to_vectors(x, y) && aligned_to(4, index);
  const auto as = wide   ? relu ? pool_as<4, true, Given> : pool_as<4, false, Given>
                  : relu ? pool_as<1, true, Given>
                         : pool_as<1, false, Given>;
  as(g, x, y, index, p, given);
}

void forward(const PoolImage& g, const float* x, const float* gamma, const float* beta,
             float* running_mean, float* running_var, float* y, std::uint8_t* index, float* mean,
             float* rstd, std::byte* workspace, double eps, double momentum, bool relu,
             const float* given_mean, const float* given_var) {
  if (given_mean) {
    const NormParameters p{gamma, beta, given_mean, nullptr, given_var, static_cast<float>(eps)};
    return pool<true>(
        g, x, y, index, p, relu,
        {given_mean, given_var, eps, momentum, running_mean, running_var, mean, rstd});
  }
  const NormParameters p{gamma, beta, mean, rstd, nullptr, 0};
  const int64_t rows = g.N * g.H * g.W;
  batch_statistics(rows, g.C, x, reinterpret_cast<double*>(workspace),
                   FinishStatistics{rows, eps, momentum, x, running_mean, running_var, mean, rstd});
  pool<false>(g, x, y, index, p, relu, {});
}

template <int V, bool Relu>
void backward_as(const PoolImage& image, const float* dy, const std::uint8_t* index, const float* x,
                 float* dx, const NormParameters& p, double* partials,
                 const FinishGradient& finish) {
  const kernels::Pool2d g = pool_of(image);
  const Pool pool(g);
  const int64_t windows = g.N * g.P * g.Q, h = ceil_div(g.H, 2), w = ceil_div(g.W, 2);
  SENTEI_CHECK(ValueError, windows * (g.C / V) <= kMostVectors,
               "batch_norm_pool_backward: dy must have at most ", kMostVectors,
               " vectors of channels on cuda, got ", windows * (g.C / V));
  gradient_sums<V, Beside::nothing, kWindowBatch>(
      windows, g.C, WindowGradient<V, Relu>{pool, Pixels(g.P, g.Q, g.C, V), dy, x, index}, nullptr,
      p, partials, finish);
  for_images(
      "batch_norm_pool_backward", g.N, h * w * (g.C / V), [&](int64_t first, std::uint32_t n) {
        const int64_t from = first * g.P * g.Q * g.C, to = first * g.H * g.W * g.C;
        launch("batch_norm_pool_backward_kernel", batch_norm_pool_backward_kernel<V, Relu>,
               blocks_for(n, kPoolThreads, n), kPoolThreads, 0, n, pool, Pixels(h, w, g.C, V), p,
               finish.B, finish.D, dy + from, index + from, x + to, dx + to);
      });
}

void backward(const PoolImage& g, const float* dy, const std::uint8_t* index, const float* x,
              const float* gamma, const float* mean, const float* rstd, const float* beta,
              float* dx, float* dgamma, float* dbeta, std::byte* workspace, bool relu) {
  double* partials = reinterpret_cast<double*>(workspace);
  float* B = reinterpret_cast<float*>(partials + doubles(g));
  const NormParameters p{gamma, beta, mean, rstd, nullptr, 0};
  const FinishGradient finish{g.N * g.H * g.W, gamma, rstd, nullptr, 0, dgamma, dbeta, B, B + g.C};
  const bool wide = g.C % 4 == 0 && aligned_to_vectors(dy, x, dx) && aligned_to(4, index);
  const auto run = wide   ? relu ? backward_as<4, true> : backward_as<4, false>
                   : relu ? backward_as<1, true>
                          : backward_as<1, false>;
  run(g, dy, index, x, dx, p, partials, finish);
}

}  // namespace
}  // namespace sentei::cuda
SENTEI_CUDA_TABLE(BatchNormPoolKernels, batch_norm_pool_kernels, workspace, forward, backward)
