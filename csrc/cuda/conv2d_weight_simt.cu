// The gradient of convolution's filters in exact float32:
//   dw[k, (r, s, c)] = sum over pixels (n, p, q) of dy[n, p, q, k] x[n, p sh - ph + r dh, ..., c].
// A block computes BM filters x BN columns (r, s, c) of one group over one part of the pixels,
// which are the depth: both operands lie outer, as their tensors do. A thread's column, and so its
// tap, stays; its pixels advance. Parts go to slots, summed in order by slot_sum_kernel. With
// active rows (a linear layer) a block gathers the columns of dy that the device's group names;
// rows past the group are not written. Bytes: (BM + BN) pixels floats a block, the tensors mostly
// from L2.
#include <algorithm>

#include "cuda/conv2d_simt.hpp"
#include "cuda/device/active_rows.cuh"
#include "cuda/device/elementwise.cuh"
#include "cuda/device/fast_divide.cuh"
#include "cuda/device/gemm_simt.cuh"
#include "cuda/gemm_plan.hpp"
#include "cuda/slot_sum.hpp"

namespace sentei::cuda {
namespace {

using std::int64_t;

struct WeightSum {
  const float *x, *dy;
  float* out;
  int64_t slot, image;  // elements of a partial result and of an image of x
  int64_t pixels;       // of dy, all images
  int64_t rows;         // of dw in a group, or the most active ones
  int H, W, C, K, S, Q, image_pixels;
  int group_channels, columns, groups;
  int stride_h, stride_w, padding_h, padding_w, dilation_h, dilation_w;
  int splits, tiles_n;
  int64_t tiles_m;
  FastDivide by_image, by_q;
  kernels::ActiveRows active;
};

template <class Tile, int VA, int VB, bool Active>
__global__ void __launch_bounds__(Tile::threads, Tile::resident)
    conv2d_backward_weight_kernel(const WeightSum s) {
  constexpr Lies A = Lies::outer, B = Lies::outer;
  SENTEI_DYNAMIC_SHARED(float, shared);
  SENTEI_SHARED(int, picks, [Active ? Tile::BM : 1]);  // columns of dy

  unsigned block = blockIdx.x;
  const int n0 = static_cast<int>(block % s.tiles_n) * Tile::BN;
  block /= s.tiles_n;
  const int64_t m0 = static_cast<int64_t>(block % static_cast<unsigned>(s.tiles_m)) * Tile::BM;
  block /= static_cast<unsigned>(s.tiles_m);
  const int group = static_cast<int>(block % s.groups);
  const int split = static_cast<int>(block / s.groups);
  if constexpr (Active) {
    for (int r = static_cast<int>(threadIdx.x); r < Tile::BM; r += Tile::threads)
      picks[r] = active_row(s.active, m0 + r, s.K);
    __syncthreads();
  }

  // Pixels [first, first + count) of all; `start` is the place of the first in its image.
  const int64_t all_steps = (s.pixels + kSlice - 1) / kSlice;
  const int64_t first = all_steps * split / s.splits * kSlice;
  const int64_t end = all_steps * (split + 1) / s.splits * kSlice;
  const int count = static_cast<int>((end < s.pixels ? end : s.pixels) - first);
  const int64_t first_image = first / s.image_pixels;
  const auto start = static_cast<unsigned>(first - first_image * s.image_pixels);

  const Tile at;
  const Pieces<A, Tile::BM, VA, Tile::threads> pa;
  int64_t dy_column = m0 + pa.column;
  bool dy_valid = dy_column < s.rows;
  if constexpr (Active) {
    static_assert(VA == 1);
    dy_column = picks[pa.column];
    dy_valid = dy_column >= 0;
  }
  const float* const dy = s.dy + first * s.K + group * s.rows + dy_column;
  const auto load_a = [&](float* slice, int step) {
#pragma unroll(VA == 4 ? 4 : 1)
    for (int i = 0; i < pa.count; ++i) {
      const int d = step * kSlice + pa.row + i * pa.step;
      const bool valid = dy_valid && d < count;
      pa.copy(slice, i, valid ? dy + int64_t{d} * s.K : s.dy, valid);
    }
  };
  const Pieces<B, Tile::BN, VB, Tile::threads> pb;
  const int n = n0 + pb.column, tap = n / s.group_channels, r = tap / s.S;
  const int down = r * s.dilation_h - s.padding_h;
  const int right = (tap - r * s.S) * s.dilation_w - s.padding_w;
  const float* const x =
      s.x + first_image * s.image + group * s.group_channels + (n - tap * s.group_channels);
  const auto load_b = [&](float* slice, int step) {
#pragma unroll(VB == 4 ? 4 : 1)
    for (int i = 0; i < pb.count; ++i) {
      const int d = step * kSlice + pb.row + i * pb.step;
      const unsigned pixel = start + d, image = s.by_image(pixel);
      const unsigned in_image = pixel - image * s.image_pixels, p = s.by_q(in_image);
      const unsigned h = p * s.stride_h + down, w = (in_image - p * s.Q) * s.stride_w + right;
      const bool valid = d < count && n < s.columns && h < static_cast<unsigned>(s.H) &&
                         w < static_cast<unsigned>(s.W);
      pb.copy(slice, i, valid ? x + image * s.image + (h * s.W + w) * s.C : s.x, valid);
    }
  };

  float acc[Tile::TM][Tile::TN];
  clear(acc);
  multiply<Tile, A, B>(at, shared, (count + kSlice - 1) / kSlice, load_a, load_b, acc);

#pragma unroll
  for (int i = 0; i < Tile::TM; ++i) {
    const int row = element_at<A, Tile::TY>(at.row, i);
    const bool valid = Active ? picks[Active ? row : 0] >= 0 : m0 + row < s.rows;
    if (valid)
      store_row<Tile, B, VB>(
          at, acc[i],
          s.out + split * s.slot + (group * s.rows + m0 + row) * int64_t{s.columns} + n0,
          s.columns - n0);
  }
}

GemmPlan plan_of(const Conv2dGeometry& g, int64_t rows, bool active) {
  // Places in an image plus pixels of a part stay below 2^32.
  return plan_gemm(rows, g.R * g.S * g.group_channels(), g.N * g.P * g.Q, g.G, int64_t{1} << 30,
                   active ? kSmallTiles : 0);
}

template <int VA, int VB, bool Active, class Tile>
void launch_tile(WeightSum s) {
  s.tiles_n = static_cast<int>(ceil_div(s.columns, Tile::BN));
  s.tiles_m = ceil_div(s.rows, Tile::BM);
  launch("conv2d_backward_weight_kernel", conv2d_backward_weight_kernel<Tile, VA, VB, Active>,
         static_cast<unsigned>(s.tiles_n * s.tiles_m * s.groups * s.splits), Tile::threads,
         gemm_shared_bytes<Tile, Lies::outer, Lies::outer>(), s);
}

template <int VA, int VB>
void launch_planned(int tile, const WeightSum& s) {
  switch (tile) {
    case 0:
      return launch_tile<VA, VB, false, SimtTile<128, 128, 8, 8, 2>>(s);
    case 1:
      return launch_tile<VA, VB, false, SimtTile<128, 64, 8, 8, 4>>(s);
    case 2:
      return launch_tile<VA, VB, false, SimtTile<128, 32, 8, 4, 4>>(s);
    case 3:
      return launch_tile<VA, VB, false, SimtTile<64, 64, 8, 4, 4>>(s);
    default:
      return launch_tile<VA, VB, false, SimtTile<32, 32, 4, 4, 8>>(s);
  }
}

// Groups are about the square root of all rows, so small tiles are enough for them.
template <int VB>
void launch_active(int tile, const WeightSum& s) {
  if (tile == kSmallTiles)
    launch_tile<1, VB, true, SimtTile<64, 64, 8, 4, 4>>(s);
  else
    launch_tile<1, VB, true, SimtTile<32, 32, 4, 4, 8>>(s);
}

}  // namespace

std::size_t conv2d_simt_backward_weight_workspace(const Conv2dGeometry& g, bool active) {
  const int splits = plan_of(g, g.group_filters(), active).splits;
  return splits > 1 ? sizeof(float) * splits * g.K * g.R * g.S * g.group_channels() : 0;
}

void conv2d_simt_backward_weight(const Conv2dGeometry& g, const float* x, const float* dy,
                                 float* dw, const kernels::ActiveRows* active, void* workspace) {
  WeightSum s = {};
  s.x = x, s.dy = dy;
  s.by_image = FastDivide(g.P * g.Q), s.by_q = FastDivide(g.Q);
  s.rows = active ? active->most : g.group_filters();
  s.H = static_cast<int>(g.H), s.W = static_cast<int>(g.W), s.C = static_cast<int>(g.C);
  s.K = static_cast<int>(g.K), s.S = static_cast<int>(g.S), s.Q = static_cast<int>(g.Q);
  s.image = g.H * g.W * g.C;
  s.image_pixels = static_cast<int>(g.P * g.Q);
  s.pixels = g.N * g.P * g.Q;
  s.group_channels = static_cast<int>(g.group_channels());
  s.columns = static_cast<int>(g.R * g.S * g.group_channels());
  s.groups = static_cast<int>(g.G);
  s.stride_h = g.stride_h, s.stride_w = g.stride_w;
  s.padding_h = g.padding_h, s.padding_w = g.padding_w;
  s.dilation_h = g.dilation_h, s.dilation_w = g.dilation_w;
  s.slot = s.rows * s.groups * s.columns;
  if (active) s.active = *active;
  const GemmPlan plan = plan_of(g, s.rows, active != nullptr);
  s.splits = plan.splits;
  s.out = s.splits > 1 ? static_cast<float*>(workspace) : dw;

  const bool wide_x = s.group_channels % 4 == 0 && aligned16(x) && aligned16(s.out);
  const bool wide_dy = s.rows % 4 == 0 && aligned16(dy);
  if (active)
    wide_x ? launch_active<4>(plan.tile, s) : launch_active<1>(plan.tile, s);
  else if (wide_dy)
    wide_x ? launch_planned<4, 4>(plan.tile, s) : launch_planned<4, 1>(plan.tile, s);
  else
    launch_planned<1, 1>(plan.tile, s);
  if (s.splits > 1)
    sum_slots({s.out, s.splits, s.slot, s.columns, nullptr, false, dw, s.active, s.K});
}

}  // namespace sentei::cuda
