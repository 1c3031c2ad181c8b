// Convolution forward and its input gradient as one implicit product in exact float32:
//   out[pixel, n] = sum over (tap row, tap column, c) of in[pixel at tap, c] filter(tap, c, n).
// A block computes BM pixels x BN columns (filters forward, input channels backward) of one group;
// where each pixel's window begins is worked out once and kept in shared memory. Pixels outside the
// image and the depth past the end are copied as zeros. The filters lie inner (forward: a filter is
// a row of depth) or outer (backward: neighbours are input channels). Few tiles: the depth is split
// over blocks into partial results, summed in order by slot_sum_kernel, which then adds the bias.
// Bytes: each block reads (BM + BN) depth floats, mostly from L2; out is written once. The variant
// with Moments also sums up the columns of its tile (device/tile_moments.cuh).
#include <numeric>

#include "cuda/conv2d_simt.hpp"
#include "cuda/device/conv2d_taps.cuh"
#include "cuda/device/elementwise.cuh"
#include "cuda/device/gemm_simt.cuh"
#include "cuda/device/tile_moments.cuh"
#include "cuda/gemm_plan.hpp"
#include "cuda/slot_sum.hpp"

namespace sentei::cuda {
namespace {

using std::int64_t;

struct TapSum {
  const float *in, *filters, *bias;
  float* out;
  int64_t slot;                    // elements of a partial result
  int64_t images, image;           // of in: number, elements of each
  int in_channels, out_channels;   // of all groups
  int depth_channels, columns;     // of one group
  int filter_row, filter_columns;  // elements of a filter; S
  int groups, splits, tiles_n;
  int64_t tiles_m;  // of the largest phase
  ConvAxis h, w;
  FastDivide by_channels;  // by depth_channels
  bool relu;
  float* moments;  // (tiles_m, 3, out_channels), where these are wanted
};

struct alignas(16) Window {
  int64_t image;  // offset of the image and group, -1: no pixel
  int y, x;       // where tap (0, 0) reads
};

// Of the block's tile, whose first `rows` rows are there; to rows of `all` columns.
template <class Tile>
__device__ __forceinline__ void column_moments(const Tile& at,
                                               const float (&acc)[Tile::TM][Tile::TN], int rows,
                                               void* shared, int columns, float* out, int all) {
  constexpr int TM = Tile::TM, TN = Tile::TN, TY = Tile::TY;
  const auto rows_from = [rows](int first) {  // rows first, first + TY, ... of the tile
    return rows > first ? (rows - first + TY - 1) / TY : 0;
  };
  const int lane = static_cast<int>(threadIdx.x) % 32, count = rows_from(at.row);
  Moments m[TN];
#pragma unroll
  for (int j = 0; j < TN; ++j)
    m[j] = moments_of<TM>(count, lane % 8, [&](int i) { return acc[i][j]; });
  add_lanes<8, TN>(m, lane);
  add_lanes<16, TN / 2>(m, lane);
  TileMoments<TY / 4, Tile::BN, Tile::threads> tile(shared);
  __syncthreads();  // the operands there are not read any more
  const int first = (lane & 8 ? TN / 2 : 0) + (lane & 16 ? TN / 4 : 0);
#pragma unroll
  for (int j = 0; j < TN / 4; ++j)
    tile.put(at.row / 4, element_at<Lies::inner, Tile::TX>(at.column, first + j), m[j]);
  __syncthreads();
  const auto rows_of = [&](int group) {
    int n = 0;
#pragma unroll
    for (int r = 0; r < 4; ++r) n += rows_from(4 * group + r);
    return n;
  };
  tile.write(columns, rows_of, out, all);
}

template <class Tile, int V, bool Forward, bool WithMoments = false>
__device__ __forceinline__ void tap_sum(const TapSum& s) {
  constexpr Lies A = Lies::inner, B = Forward ? Lies::inner : Lies::outer;
  SENTEI_DYNAMIC_SHARED(float, shared);
  SENTEI_SHARED(Window, windows, [Tile::BM]);
  SENTEI_SHARED(int64_t, targets, [Tile::BM]);

  unsigned block = blockIdx.x;
  const int n0 = static_cast<int>(block % s.tiles_n) * Tile::BN;
  block /= s.tiles_n;
  const int64_t m0 = static_cast<int64_t>(block % static_cast<unsigned>(s.tiles_m)) * Tile::BM;
  block /= static_cast<unsigned>(s.tiles_m);
  const int group = static_cast<int>(block % s.groups);
  block /= s.groups;
  const ConvPhase pw = conv_phase<Forward>(s.w, static_cast<int>(block % s.w.phases));
  block /= s.w.phases;
  const ConvPhase ph = conv_phase<Forward>(s.h, static_cast<int>(block % s.h.phases));
  const int split = static_cast<int>(block / s.h.phases);

  const int64_t pixels = int64_t{ph.pixels} * pw.pixels;
  for (int r = static_cast<int>(threadIdx.x); r < Tile::BM; r += Tile::threads) {
    const int64_t m = m0 + r, image = m / pixels;
    const unsigned in_image = static_cast<unsigned>(m - image * pixels);
    const int i = static_cast<int>(in_image / static_cast<unsigned>(pw.pixels));
    const int j = static_cast<int>(in_image % static_cast<unsigned>(pw.pixels));
    const bool valid = image < s.images;
    const int64_t y = ph.pixel + int64_t{i} * ph.pixel_step, x = pw.pixel + j * pw.pixel_step;
    windows[r] = {valid ? image * s.image + group * s.depth_channels : -1, ph.at(i), pw.at(j)};
    targets[r] = valid ? ((image * s.h.written + y) * s.w.written + x) * s.out_channels +
                             int64_t{group} * s.columns
                       : -1;
  }
  __syncthreads();

  const int depth = ph.taps * pw.taps * s.depth_channels;
  const int64_t all_steps = (int64_t{depth} + kSlice - 1) / kSlice;
  const int first = static_cast<int>(all_steps * split / s.splits);
  const int steps = static_cast<int>(all_steps * (split + 1) / s.splits) - first;
  const FastDivide by_taps = pw.taps == static_cast<int>(s.w.few.divisor) ? s.w.few : s.w.more;

  const Tile at;
  const Pieces<A, Tile::BM, V, Tile::threads> pa;
  const auto load_a = [&](float* slice, int step) {
    const int d = (first + step) * kSlice + pa.column;
    const int tap = static_cast<int>(s.by_channels(d)), c = d - tap * s.depth_channels;
    const int ty = static_cast<int>(by_taps(tap)), tx = tap - ty * pw.taps;
    const int down = ty * ph.move, right = tx * pw.move;
#pragma unroll(V == 4 ? 4 : 1)
    for (int i = 0; i < pa.count; ++i) {
      const Window from = windows[pa.row + i * pa.step];
      const auto y = static_cast<unsigned>(from.y + down);
      const auto x = static_cast<unsigned>(from.x + right);
      const bool valid = d < depth && from.image >= 0 && y < static_cast<unsigned>(s.h.read) &&
                         x < static_cast<unsigned>(s.w.read);
      const unsigned offset = (y * s.w.read + x) * s.in_channels + c;
      pa.copy(slice, i, valid ? s.in + from.image + offset : s.in, valid);
    }
  };
  const Pieces<B, Tile::BN, V, Tile::threads> pb;
  const int64_t filter0 = int64_t{group} * (Forward ? s.columns : s.depth_channels);
  const auto load_b = [&](float* slice, int step) {
#pragma unroll 1  // unrolled, the rows' addresses fill registers
    for (int i = 0; i < pb.count; ++i) {
      if constexpr (Forward) {
        const int d = (first + step) * kSlice + pb.column, n = n0 + pb.row + i * pb.step;
        const bool valid = d < depth && n < s.columns;
        pb.copy(slice, i, valid ? s.filters + (filter0 + n) * s.filter_row + d : s.filters, valid);
      } else {
        const int d = (first + step) * kSlice + pb.row + i * pb.step, n = n0 + pb.column;
        const int tap = static_cast<int>(s.by_channels(d)), k = d - tap * s.depth_channels;
        const int ty = static_cast<int>(by_taps(tap)), tx = tap - ty * pw.taps;
        const int r = ph.tap + ty * ph.tap_step, c = pw.tap + tx * pw.tap_step;
        const bool valid = d < depth && n < s.columns;
        const int64_t offset =
            (filter0 + k) * s.filter_row + (r * s.filter_columns + c) * s.columns + n;
        pb.copy(slice, i, valid ? s.filters + offset : s.filters, valid);
      }
    }
  };

  float acc[Tile::TM][Tile::TN];
  clear(acc);
  multiply<Tile, A, B>(at, shared, steps, load_a, load_b, acc);

  if (Forward && s.bias) {
#pragma unroll
    for (int j = 0; j < Tile::TN; ++j) {
      const int n = n0 + element_at<B, Tile::TX>(at.column, j);
      const float add = n < s.columns ? s.bias[filter0 + n] : 0.0f;
#pragma unroll
      for (int i = 0; i < Tile::TM; ++i) acc[i][j] += add;
    }
  }
#pragma unroll
  for (int i = 0; i < Tile::TM; ++i) {
    const int64_t target = targets[element_at<A, Tile::TY>(at.row, i)];
    if (Forward && s.relu) {
#pragma unroll
      for (int j = 0; j < Tile::TN; ++j)
        acc[i][j] = acc[i][j] < 0.0f ? 0.0f : acc[i][j];  // NaN passes
    }
    if (target >= 0)
      store_row<Tile, B, V>(at, acc[i], s.out + split * s.slot + target + n0, s.columns - n0);
  }
  if constexpr (WithMoments) {
    const int64_t left = s.images * pixels - m0;
    const int64_t tile = m0 / Tile::BM * kMoments * s.out_channels;
    column_moments(at, acc, left < Tile::BM ? static_cast<int>(left) : Tile::BM, shared,
                   s.columns - n0, s.moments + tile + group * s.columns + n0, s.out_channels);
  }
}

template <class Tile, int V>
__global__ void __launch_bounds__(Tile::threads, Tile::resident)
    conv2d_forward_kernel(const TapSum s) {
  tap_sum<Tile, V, true>(s);
}

template <class Tile, int V>
__global__ void __launch_bounds__(Tile::threads, Tile::resident)
    conv2d_statistics_kernel(const TapSum s) {
  tap_sum<Tile, V, true, true>(s);
}

template <class Tile, int V>
__global__ void __launch_bounds__(Tile::threads, Tile::resident)
    conv2d_backward_input_kernel(const TapSum s) {
  tap_sum<Tile, V, false>(s);
}

ConvAxis axis(bool forward, int64_t in, int64_t out, int stride, int padding, int dilation,
              int64_t taps) {
  const int tap_step = forward ? 1 : stride / std::gcd(stride, dilation);
  const int64_t written = forward ? out : in, few = taps / tap_step;
  return {static_cast<int>(forward ? in : out),
          static_cast<int>(written),
          stride,
          padding,
          dilation,
          static_cast<int>(taps),
          tap_step,
          forward ? 1 : static_cast<int>(std::min<int64_t>(stride, written)),
          FastDivide(std::max<int64_t>(1, few)),
          FastDivide(few + 1)};
}

TapSum tap_sum_of(const Conv2dGeometry& g, bool forward) {
  TapSum s = {};
  s.h = axis(forward, g.H, g.P, g.stride_h, g.padding_h, g.dilation_h, g.R);
  s.w = axis(forward, g.W, g.Q, g.stride_w, g.padding_w, g.dilation_w, g.S);
  s.images = g.N;
  s.in_channels = static_cast<int>(forward ? g.C : g.K);
  s.out_channels = static_cast<int>(forward ? g.K : g.C);
  s.depth_channels = static_cast<int>(forward ? g.group_channels() : g.group_filters());
  s.columns = static_cast<int>(forward ? g.group_filters() : g.group_channels());
  s.by_channels = FastDivide(std::max(1, s.depth_channels));
  s.image = int64_t{s.h.read} * s.w.read * s.in_channels;
  s.slot = g.N * s.h.written * s.w.written * s.out_channels;
  s.filter_row = static_cast<int>(g.R * g.S * g.group_channels());
  s.filter_columns = static_cast<int>(g.S);
  s.groups = static_cast<int>(g.G);
  return s;
}

// Pixels of the largest phase.
int64_t largest_rows(const TapSum& s) {
  const auto most = [](const ConvAxis& a) {
    return (int64_t{a.written} + a.phases - 1) / a.phases;
  };
  return s.images * most(s.h) * most(s.w);
}

GemmPlan plan_of(const TapSum& s) {
  const int64_t phases = int64_t{s.h.phases} * s.w.phases;
  const int64_t depth = int64_t{s.h.taps} * s.w.taps * s.depth_channels;
  return plan_gemm(largest_rows(s), s.columns, (depth + phases - 1) / phases, s.groups * phases,
                   INT64_MAX);
}

std::size_t workspace_of(const TapSum& s) {
  const int splits = plan_of(s).splits;
  return splits > 1 ? sizeof(float) * splits * s.slot : 0;
}

template <bool Forward, int V, class Tile>
void launch_tile(TapSum s) {
  s.tiles_n = static_cast<int>(ceil_div(s.columns, Tile::BN));
  s.tiles_m = ceil_div(largest_rows(s), Tile::BM);
  const int64_t blocks = s.tiles_n * s.tiles_m * s.groups * s.h.phases * s.w.phases * s.splits;
  constexpr std::size_t shared =
      gemm_shared_bytes<Tile, Lies::inner, Forward ? Lies::inner : Lies::outer>();
  static_assert(TileMoments<Tile::TY / 4, Tile::BN, Tile::threads>::kBytes <= shared);
  if constexpr (Forward)
    s.moments ? launch("conv2d_statistics_kernel", conv2d_statistics_kernel<Tile, V>,
                       static_cast<unsigned>(blocks), Tile::threads, shared, s)
              : launch("conv2d_forward_kernel", conv2d_forward_kernel<Tile, V>,
                       static_cast<unsigned>(blocks), Tile::threads, shared, s);
  else
    launch("conv2d_backward_input_kernel", conv2d_backward_input_kernel<Tile, V>,
           static_cast<unsigned>(blocks), Tile::threads, shared, s);
}

template <bool Forward, int V>
void launch_planned(int tile, const TapSum& s) {
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

template <bool Forward>
void run(TapSum s, const float* bias, bool relu, float* out, void* workspace) {
  const GemmPlan plan = plan_of(s);
  s.splits = plan.splits;
  const bool split = s.splits > 1;
  s.bias = split ? nullptr : bias;
  s.relu = relu && !split;
  s.out = split ? static_cast<float*>(workspace) : out;
  const bool wide = s.depth_channels % 4 == 0 && (Forward || s.columns % 4 == 0) &&
                    aligned16(s.in) && aligned16(s.filters) && aligned16(s.out);
  wide ? launch_planned<Forward, 4>(plan.tile, s) : launch_planned<Forward, 1>(plan.tile, s);
  if (split)
    sum_slots({static_cast<const float*>(workspace),
               s.splits,
               s.slot,
               s.out_channels,
               bias,
               relu,
               out,
               {},
               0});
}

}  // namespace

std::size_t conv2d_simt_forward_workspace(const Conv2dGeometry& g) {
  return workspace_of(tap_sum_of(g, true));
}

int conv2d_simt_moments_rows(const Conv2dGeometry& g) {
  const GemmPlan plan = plan_of(tap_sum_of(g, true));
  return plan.splits == 1 ? kGemmTiles[plan.tile].rows : 0;
}

std::size_t conv2d_simt_backward_input_workspace(const Conv2dGeometry& g) {
  return workspace_of(tap_sum_of(g, false));
}

void conv2d_simt_forward(const Conv2dGeometry& g, const float* x, const float* w, const float* bias,
                         bool relu, float* y, void* workspace, float* moments) {
  TapSum s = tap_sum_of(g, true);
  s.in = x, s.filters = w, s.moments = moments;
  run<true>(s, bias, relu, y, workspace);
}

void conv2d_simt_backward_input(const Conv2dGeometry& g, const float* dy, const float* w, float* dx,
                                void* workspace) {
  TapSum s = tap_sum_of(g, false);
  s.in = dy, s.filters = w;
  run<false>(s, nullptr, false, dx, workspace);
}

}  // namespace sentei::cuda
