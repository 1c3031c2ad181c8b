// Linear layers whose weight is w + c v, c by the row's group:
//   y[n, o] = b[o] + sum_i x[n, i] (w + c v)[o, i]      dx[n, i] = sum_o dy[n, o] (w + c v)[o, i]
// The exact products: a block computes BM rows x BN columns; slices of x (or dy), w and v come by
// cp.async. When a slice is there, each thread adds c v to the part of w that it copied itself, so
// the barrier that the product needs anyhow is the only one, and the inner loop is that of the
// plain product (gemm_simt.cuh). w lies inner (forward) or outer (backward). Few tiles: the depth
// is split over blocks into partial results, summed in order by slot_sum_kernel, which then adds
// the bias. Bytes: a block reads (BM + 2 BN) depth floats. Order of accumulation: depth ascending.
// tf32 and bfloat16: w + c v goes to the workspace, then the plain layer runs on it.
#include "cuda/device/elementwise.cuh"
#include "cuda/device/gemm_simt.cuh"
#include "cuda/gemm_plan.hpp"
#include "cuda/semi_sync_lazy.hpp"
#include "cuda/slot_sum.hpp"
#include "cuda/table.cuh"

namespace sentei::cuda {

extern const void* const linear_kernels_entry;

namespace {

using kernels::LazyWeight;
using kernels::LinearSizes;
using std::int64_t;

struct LazyProduct {
  const float *in, *w, *v, *coef, *bias;
  const std::int32_t* group_of;
  float* out;
  int64_t rows, groups;
  int depth, columns, splits, tiles_n;
  unsigned tiles_m;
  bool relu;
};

__device__ __forceinline__ float factor_of(const LazyProduct& s, int64_t row) {
  const std::int32_t group = s.group_of[row];
  return group >= 0 && group < s.groups ? s.coef[2 * group + 1] : __int_as_float(0x7fc00000);
}

template <class Tile, int V, bool Forward>
__device__ __forceinline__ void lazy_product(const LazyProduct& s) {
  constexpr Lies A = Lies::inner, B = Forward ? Lies::inner : Lies::outer;
  constexpr int floats_a = Slice<A, Tile::BM>::floats, floats_b = Slice<B, Tile::BN>::floats;
  constexpr int floats = floats_a + 2 * floats_b;
  SENTEI_DYNAMIC_SHARED(float, shared);

  unsigned block = blockIdx.x;
  const int n0 = static_cast<int>(block % s.tiles_n) * Tile::BN;
  block /= s.tiles_n;
  const int64_t m0 = int64_t{block % s.tiles_m} * Tile::BM;
  const int split = static_cast<int>(block / s.tiles_m);
  const int64_t all_steps = (int64_t{s.depth} + kSlice - 1) / kSlice;
  const int first = static_cast<int>(all_steps * split / s.splits);
  const int steps = static_cast<int>(all_steps * (split + 1) / s.splits) - first;

  const Pieces<A, Tile::BM, V, Tile::threads> pa;
  const Pieces<B, Tile::BN, V, Tile::threads> pb;
  // Row and column in w of the thread's i-th piece; false: there is none.
  const auto place = [&](int step, int i, int64_t& row, int& column) {
    const int across = pb.row + i * pb.step, from = (first + step) * kSlice;
    row = Forward ? n0 + across : from + across;
    column = pb.column + (Forward ? from : n0);
    return row < (Forward ? s.columns : s.depth) && column < (Forward ? s.depth : s.columns);
  };
  const auto load = [&](int step, int stage) {
    if (step < steps) {
      float* const to = shared + stage * floats;
      const int d = (first + step) * kSlice + pa.column;
#pragma unroll(V == 4 ? 4 : 1)
      for (int i = 0; i < pa.count; ++i) {
        const int64_t m = m0 + pa.row + i * pa.step;
        const bool valid = m < s.rows && d < s.depth;
        pa.copy(to, i, valid ? s.in + m * s.depth + d : s.in, valid);
      }
#pragma unroll 1  // unrolled, the rows' addresses fill registers
      for (int i = 0; i < pb.count; ++i) {
        int64_t row;
        int column;
        const bool valid = place(step, i, row, column);
        const int64_t at = valid ? row * (Forward ? s.depth : s.columns) + column : 0;
        pb.copy(to + floats_a, i, s.w + at, valid);
        pb.copy(to + floats_a + floats_b, i, s.v + at, valid);
      }
    }
    cp_async_commit();
  };
  // What this thread copied is there for it already before the barrier.
  const auto add_up = [&](int step, float* w) {
#pragma unroll 1
    for (int i = 0; i < pb.count; ++i) {
      int64_t row;
      int column;
      if (!place(step, i, row, column)) continue;
      const float c = factor_of(s, row);
      float* const to = w + (pb.row + i * pb.step) * Slice<B, Tile::BN>::pitch + pb.column;
      if constexpr (V == 4) {
        float4 now = *reinterpret_cast<const float4*>(to);
        const float4 v = *reinterpret_cast<const float4*>(to + floats_b);
        now.x = fmaf(c, v.x, now.x);
        now.y = fmaf(c, v.y, now.y);
        now.z = fmaf(c, v.z, now.z);
        now.w = fmaf(c, v.w, now.w);
        *reinterpret_cast<float4*>(to) = now;
      } else {
        *to = fmaf(c, to[floats_b], *to);
      }
    }
  };

  const Tile at;
  float acc[Tile::TM][Tile::TN];
  clear(acc);
#pragma unroll
  for (int k = 0; k < kStages - 1; ++k) load(k, k);
  int stage = 0, next = kStages - 1;
  for (int step = 0; step < steps; ++step) {
    cp_async_wait<kStages - 2>();
    float* const slice = shared + stage * floats;
    add_up(step, slice + floats_a);
    __syncthreads();  // this slice is there for all, and all have read the one before it
    load(step + kStages - 1, next);
    accumulate_slice<Tile, A, B>(at, slice, slice + floats_a, acc);
    next = stage;
    stage = stage + 1 == kStages ? 0 : stage + 1;
  }

  if (Forward && s.bias) {
#pragma unroll
    for (int j = 0; j < Tile::TN; ++j) {
      const int n = n0 + element_at<B, Tile::TX>(at.column, j);
      const float add = n < s.columns ? s.bias[n] : 0.0f;
#pragma unroll
      for (int i = 0; i < Tile::TM; ++i) acc[i][j] += add;
    }
  }
  float* const out = s.out + split * s.rows * s.columns + n0;
#pragma unroll
  for (int i = 0; i < Tile::TM; ++i) {
    const int64_t m = m0 + element_at<A, Tile::TY>(at.row, i);
    if (Forward && s.relu) {
#pragma unroll
      for (int j = 0; j < Tile::TN; ++j)
        acc[i][j] = acc[i][j] < 0.0f ? 0.0f : acc[i][j];  // NaN passes
    }
    if (m < s.rows) store_row<Tile, B, V>(at, acc[i], out + m * s.columns, s.columns - n0);
  }
}

template <class Tile, int V>
__global__ void __launch_bounds__(Tile::threads, Tile::resident)
    linear_lazy_forward_kernel(const LazyProduct s) {
  lazy_product<Tile, V, true>(s);
}

template <class Tile, int V>
__global__ void __launch_bounds__(Tile::threads, Tile::resident)
    linear_lazy_backward_input_kernel(const LazyProduct s) {
  lazy_product<Tile, V, false>(s);
}

template <bool Forward, int V, class Tile>
void launch_tile(LazyProduct s) {
  s.tiles_n = static_cast<int>(ceil_div(s.columns, Tile::BN));
  s.tiles_m = static_cast<unsigned>(ceil_div(s.rows, Tile::BM));
  const auto blocks = static_cast<unsigned>(int64_t{s.tiles_n} * s.tiles_m * s.splits);
  constexpr Lies B = Forward ? Lies::inner : Lies::outer;
  constexpr std::size_t shared = gemm_shared_bytes<Tile, Lies::inner, B>() +
                                 kStages * sizeof(float) * Slice<B, Tile::BN>::floats;
  if constexpr (Forward)
    launch("linear_lazy_forward_kernel", linear_lazy_forward_kernel<Tile, V>, blocks, Tile::threads,
           shared, s);
  else
    launch("linear_lazy_backward_input_kernel", linear_lazy_backward_input_kernel<Tile, V>, blocks,
           Tile::threads, shared, s);
}

template <bool Forward, int V>
void launch_planned(int tile, const LazyProduct& s) {
  switch (tile) {
    case 0:
      return launch_tile<Forward, V, SimtTile<128, 128, 8, 8, 2>>(s);
    case 1:
      return launch_tile<Forward, V, SimtTile<128, 64, 8, 8, 4>>(s);
    case 2:
      return launch_tile<Forward, V, SimtTile<128, 32, 8, 4, 4>>(s);
    case 3:
      return launch_tile<Forward, V, SimtTile<64, 64, 8, 4, 4>>(s);
    default:
      return launch_tile<Forward, V, SimtTile<32, 32, 4, 4, 8>>(s);
  }
}

GemmPlan plan_of(const LinearSizes& s, bool forward) {
  return plan_gemm(s.N, forward ? s.O : s.I, forward ? s.I : s.O, 1, INT64_MAX);
}

const kernels::LinearKernels& plain() {
  return *static_cast<const kernels::LinearKernels*>(linear_kernels_entry);
}

// The weight itself, before the workspace of the plain layer.
std::size_t weight_bytes(const LinearSizes& s) {
  return static_cast<std::size_t>(ceil_div(s.O * s.I * int64_t{sizeof(float)}, 64) * 64);
}

template <bool Forward>
std::size_t workspace_of(const LinearSizes& s, Precision precision) {
  if (on_tensor_cores(precision))
    return weight_bytes(s) + (Forward ? plain().forward_workspace(s, precision)
                                      : plain().backward_input_workspace(s, precision));
  const int splits = plan_of(s, Forward).splits;
  const std::size_t columns = static_cast<std::size_t>(Forward ? s.O : s.I);
  return splits > 1 ? sizeof(float) * splits * static_cast<std::size_t>(s.N) * columns : 0;
}

template <bool Forward>
void run(const LinearSizes& s, const float* in, const LazyWeight& weight, const float* bias,
         bool relu, float* out, void* workspace) {
  const GemmPlan plan = plan_of(s, Forward);
  LazyProduct p = {};
  p.in = in, p.w = weight.w, p.v = weight.v, p.coef = weight.coef;
  p.group_of = weight.group_of, p.groups = weight.groups;
  p.rows = s.N;
  p.depth = static_cast<int>(Forward ? s.I : s.O);
  p.columns = static_cast<int>(Forward ? s.O : s.I);
  p.splits = plan.splits;
  const bool split = p.splits > 1;
  p.bias = split ? nullptr : bias;
  p.relu = relu && !split;
  p.out = split ? static_cast<float*>(workspace) : out;
  const bool wide = p.depth % 4 == 0 && (Forward || p.columns % 4 == 0) && aligned16(in) &&
                    aligned16(p.w) && aligned16(p.v) && aligned16(p.out);
  wide ? launch_planned<Forward, 4>(plan.tile, p) : launch_planned<Forward, 1>(plan.tile, p);
  if (split) sum_slots({p.out, p.splits, p.rows * p.columns, p.columns, bias, relu, out, {}, 0});
}

void* settle(const LinearSizes& s, const LazyWeight& weight, void* workspace) {
  semi_sync_lazy_weight(s.O, s.I, weight, static_cast<float*>(workspace));
  return static_cast<char*>(workspace) + weight_bytes(s);
}

void forward(const LinearSizes& s, Precision precision, const float* x, const LazyWeight& weight,
             const float* bias, bool relu, float* y, void* workspace) {
  if (!on_tensor_cores(precision)) return run<true>(s, x, weight, bias, relu, y, workspace);
  void* const rest = settle(s, weight, workspace);
  plain().forward(s, precision, x, static_cast<const float*>(workspace), bias, relu, y, rest);
}

void backward_input(const LinearSizes& s, Precision precision, const float* dy,
                    const LazyWeight& weight, float* dx, void* workspace) {
  if (!on_tensor_cores(precision)) return run<false>(s, dy, weight, nullptr, false, dx, workspace);
  void* const rest = settle(s, weight, workspace);
  plain().backward_input(s, precision, dy, static_cast<const float*>(workspace), dx, rest);
}

}  // namespace
}  // namespace sentei::cuda
SENTEI_CUDA_TABLE(LinearLazyKernels, linear_lazy_kernels, workspace_of<true>, workspace_of<false>,
                  forward, backward_input)
