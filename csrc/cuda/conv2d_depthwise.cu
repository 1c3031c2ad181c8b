// Depthwise convolution: y[n, p, q, c] = sum over (r, s) of x[n, p sh - ph + r dh, ..., c] w[c, r,
// s]. Lanes run over channels, V of them each, so every access is coalesced; a thread has kPixels
// outputs (forward) or inputs (dx, a gather over the taps that meet an output) in registers, the
// filters of the block's channels are in shared memory, transposed, and neighbours' pixels come
// from L1. dw: a thread sums up to kTaps taps over its pixels, the block adds its rows in order,
// parts go to slots and are summed in order by slot_sum_kernel. Bytes: each tensor about once from
// DRAM.
#include <algorithm>

#include "cuda/conv2d_depthwise.hpp"
#include "cuda/device/elementwise.cuh"
#include "cuda/device/fast_divide.cuh"
#include "cuda/slot_sum.hpp"

namespace sentei::cuda {
namespace {

using std::int64_t;

constexpr int kThreads = 256, kPixels = 4, kTaps = 9;
constexpr int kFilterFloats = 4096;  // of filters in shared memory at a time

struct Depthwise {
  const float *in, *w, *bias;  // in: x, or dy for dx
  const float* dy;             // for dw
  float* out;
  int64_t pixels;  // that are written (dw: of dy)
  int C, R, S, lanes;
  int in_h, in_w, out_w, out_pixels;
  int stride_h, stride_w, padding_h, padding_w, dilation_h, dilation_w;
  int splits, tap_blocks;
  int64_t blocks_c;
  FastDivide by_stride_h, by_stride_w, by_w, by_s;
  bool relu;
};

template <int V>
__device__ __forceinline__ void load(float (&to)[V], const float* from) {
  if constexpr (V == 4) {
    const float4 v = *reinterpret_cast<const float4*>(from);
    to[0] = v.x, to[1] = v.y, to[2] = v.z, to[3] = v.w;
  } else {
    to[0] = *from;
  }
}

// The place that is read along one axis for output (forward) or input (dx) i and tap t, or one
// beyond every size.
template <bool Forward>
__device__ __forceinline__ unsigned place(int i, int t, int stride, int padding, int dilation,
                                          const FastDivide& by_stride) {
  if constexpr (Forward) return static_cast<unsigned>(i * stride - padding + t * dilation);
  const int scaled = i + padding - t * dilation;
  if (scaled < 0 || stride == 1) return static_cast<unsigned>(scaled);
  const unsigned p = by_stride(static_cast<unsigned>(scaled));
  return p * stride == static_cast<unsigned>(scaled) ? p : ~0u;
}

template <int V, bool Forward>
__device__ __forceinline__ void depthwise_sum(const Depthwise& s) {
  SENTEI_SHARED(float, filters, [kFilterFloats]);
  const int rows = kThreads / s.lanes, width = s.lanes * V;
  const int lane = static_cast<int>(threadIdx.x) % s.lanes;
  const int row = static_cast<int>(threadIdx.x) / s.lanes;
  const int c0 = static_cast<int>(blockIdx.x % s.blocks_c) * width, c = c0 + lane * V;
  const int64_t first = static_cast<int64_t>(blockIdx.x / s.blocks_c) * rows * kPixels + row;

  int64_t image[kPixels];
  int h[kPixels], w[kPixels];
  bool valid[kPixels];
  float acc[kPixels][V] = {};
#pragma unroll
  for (int i = 0; i < kPixels; ++i) {
    const int64_t pixel = first + int64_t{i} * rows;
    valid[i] = pixel < s.pixels && c < s.C;
    const int64_t n = pixel / s.out_pixels;
    const int in_image = static_cast<int>(pixel - n * s.out_pixels);
    image[i] = n * s.in_h * s.in_w;
    h[i] = static_cast<int>(s.by_w(in_image));
    w[i] = in_image - h[i] * s.out_w;
  }
  const int taps = s.R * s.S, at_once = kFilterFloats / width;
  for (int begin = 0; begin < taps; begin += at_once) {
    const int count = min(at_once, taps - begin);
    __syncthreads();  // the taps before these have been used
    for (int k = static_cast<int>(threadIdx.x); k < count * width; k += kThreads) {
      const int channel = k / count, tap = k - channel * count;
      filters[tap * width + channel] =
          c0 + channel < s.C ? s.w[int64_t{c0 + channel} * taps + begin + tap] : 0.0f;
    }
    __syncthreads();
    for (int tap = 0; tap < count; ++tap) {
      const int r = static_cast<int>(s.by_s(begin + tap)), t = begin + tap - r * s.S;
      float f[V];
      load(f, filters + tap * width + lane * V);
#pragma unroll
      for (int i = 0; i < kPixels; ++i) {
        const unsigned y =
            place<Forward>(h[i], r, s.stride_h, s.padding_h, s.dilation_h, s.by_stride_h);
        const unsigned x =
            place<Forward>(w[i], t, s.stride_w, s.padding_w, s.dilation_w, s.by_stride_w);
        if (valid[i] && y < static_cast<unsigned>(s.in_h) && x < static_cast<unsigned>(s.in_w)) {
          float v[V];
          load(v, s.in + (image[i] + int64_t{y * s.in_w + x}) * s.C + c);
#pragma unroll
          for (int e = 0; e < V; ++e) acc[i][e] = fmaf(v[e], f[e], acc[i][e]);
        }
      }
    }
  }
#pragma unroll
  for (int i = 0; i < kPixels; ++i) {
    if (!valid[i]) continue;
#pragma unroll
    for (int e = 0; e < V; ++e) {
      if (Forward && s.bias) acc[i][e] += s.bias[c + e];
      if (Forward && s.relu && acc[i][e] < 0.0f) acc[i][e] = 0.0f;  // NaN passes
    }
    float* const to = s.out + (first + int64_t{i} * rows) * s.C + c;
    if constexpr (V == 4)
      *reinterpret_cast<float4*>(to) = make_float4(acc[i][0], acc[i][1], acc[i][2], acc[i][3]);
    else
      *to = acc[i][0];
  }
}

template <int V>
__global__ void __launch_bounds__(kThreads, 3) conv2d_forward_depthwise_kernel(const Depthwise s) {
  depthwise_sum<V, true>(s);
}

template <int V>
__global__ void __launch_bounds__(kThreads, 3)
    conv2d_backward_input_depthwise_kernel(const Depthwise s) {
  depthwise_sum<V, false>(s);
}

template <int V>
__global__ void __launch_bounds__(kThreads, 3)
    conv2d_backward_weight_depthwise_kernel(const Depthwise s) {
  SENTEI_SHARED(float, parts, [kTaps * V][kThreads]);
  const int rows = kThreads / s.lanes, width = s.lanes * V;
  const int lane = static_cast<int>(threadIdx.x) % s.lanes;
  const int row = static_cast<int>(threadIdx.x) / s.lanes;
  unsigned block = blockIdx.x;
  const int c0 = static_cast<int>(block % s.blocks_c) * width, c = c0 + lane * V;
  block /= static_cast<unsigned>(s.blocks_c);
  const int tap0 = static_cast<int>(block % s.tap_blocks) * kTaps, taps = s.R * s.S;
  const int split = static_cast<int>(block / s.tap_blocks);

  int down[kTaps], right[kTaps];
#pragma unroll
  for (int t = 0; t < kTaps; ++t) {
    const int tap = min(tap0 + t, taps - 1), r = static_cast<int>(s.by_s(tap));
    down[t] = r * s.dilation_h - s.padding_h;
    right[t] = (tap - r * s.S) * s.dilation_w - s.padding_w;
  }
  const int64_t begin = s.pixels * split / s.splits, end = s.pixels * (split + 1) / s.splits;
  float acc[kTaps][V] = {};
  if (c < s.C) {
    for (int64_t pixel = begin + row; pixel < end; pixel += rows) {
      const int64_t n = pixel / s.out_pixels;
      const int in_image = static_cast<int>(pixel - n * s.out_pixels);
      const int p = static_cast<int>(s.by_w(in_image)), q = in_image - p * s.out_w;
      float g[V];
      load(g, s.dy + pixel * s.C + c);
      const int64_t image = n * s.in_h * s.in_w;
#pragma unroll
      for (int t = 0; t < kTaps; ++t) {
        const unsigned y = static_cast<unsigned>(p * s.stride_h + down[t]);
        const unsigned x = static_cast<unsigned>(q * s.stride_w + right[t]);
        if (y < static_cast<unsigned>(s.in_h) && x < static_cast<unsigned>(s.in_w)) {
          float v[V];
          load(v, s.in + (image + int64_t{y * s.in_w + x}) * s.C + c);
#pragma unroll
          for (int e = 0; e < V; ++e) acc[t][e] = fmaf(v[e], g[e], acc[t][e]);
        }
      }
    }
  }
#pragma unroll
  for (int t = 0; t < kTaps; ++t)
#pragma unroll
    for (int e = 0; e < V; ++e) parts[t * V + e][threadIdx.x] = acc[t][e];
  __syncthreads();
  for (int k = static_cast<int>(threadIdx.x); k < kTaps * width; k += kThreads) {
    const int t = k / width, channel = k - t * width;
    if (tap0 + t >= taps || c0 + channel >= s.C) continue;
    const float* const from = &parts[t * V + channel % V][channel / V];
    float sum = 0.0f;
    for (int r = 0; r < rows; ++r) sum += from[r * s.lanes];
    s.out[split * int64_t{s.C} * taps + int64_t{c0 + channel} * taps + tap0 + t] = sum;
  }
}

Depthwise depthwise_of(const Conv2dGeometry& g, bool forward, bool wide) {
  const int64_t written_h = forward ? g.P : g.H, written_w = forward ? g.Q : g.W;
  Depthwise s = {};
  s.by_stride_h = FastDivide(g.stride_h), s.by_stride_w = FastDivide(g.stride_w);
  s.by_w = FastDivide(written_w), s.by_s = FastDivide(g.S);
  s.pixels = g.N * written_h * written_w;
  s.C = static_cast<int>(g.C), s.R = static_cast<int>(g.R), s.S = static_cast<int>(g.S);
  s.in_h = static_cast<int>(forward ? g.H : g.P), s.in_w = static_cast<int>(forward ? g.W : g.Q);
  s.out_w = static_cast<int>(written_w), s.out_pixels = static_cast<int>(written_h * written_w);
  s.stride_h = g.stride_h, s.stride_w = g.stride_w;
  s.padding_h = g.padding_h, s.padding_w = g.padding_w;
  s.dilation_h = g.dilation_h, s.dilation_w = g.dilation_w;
  const int64_t vectors = wide ? g.C / 4 : g.C;
  s.lanes = 1;
  while (s.lanes < 32 && s.lanes < vectors) s.lanes *= 2;
  s.blocks_c = ceil_div(vectors, s.lanes);
  return s;
}

unsigned pixel_blocks(const Depthwise& s) {
  return static_cast<unsigned>(s.blocks_c *
                               ceil_div(s.pixels, int64_t{kThreads} / s.lanes * kPixels));
}

// Enough parts for four blocks an SM, each with 16 pixels a thread or more. From sizes alone: with
// vectors of 4 a part has fewer blocks, not other pixels.
int parts_of(const Conv2dGeometry& g) {
  const Depthwise s = depthwise_of(g, true, false);
  const int64_t blocks = s.blocks_c * ceil_div(g.R * g.S, kTaps);
  const int64_t most = ceil_div(s.pixels, int64_t{kThreads} / s.lanes * 16);
  return static_cast<int>(
      std::max<int64_t>(1, std::min({ceil_div(4 * 132, blocks), most, int64_t{512}})));
}

}  // namespace

void conv2d_depthwise_forward(const Conv2dGeometry& g, const float* x, const float* w,
                              const float* bias, bool relu, float* y) {
  const bool wide = g.C % 4 == 0 && aligned16(x) && aligned16(y);
  Depthwise s = depthwise_of(g, true, wide);
  s.in = x, s.w = w, s.bias = bias, s.relu = relu, s.out = y;
  launch("conv2d_forward_depthwise_kernel",
         wide ? conv2d_forward_depthwise_kernel<4> : conv2d_forward_depthwise_kernel<1>,
         pixel_blocks(s), kThreads, 0, s);
}

void conv2d_depthwise_backward_input(const Conv2dGeometry& g, const float* dy, const float* w,
                                     float* dx) {
  const bool wide = g.C % 4 == 0 && aligned16(dy) && aligned16(dx);
  Depthwise s = depthwise_of(g, false, wide);
  s.in = dy, s.w = w, s.out = dx;
  launch(
      "conv2d_backward_input_depthwise_kernel",
      wide ? conv2d_backward_input_depthwise_kernel<4> : conv2d_backward_input_depthwise_kernel<1>,
      pixel_blocks(s), kThreads, 0, s);
}

std::size_t conv2d_depthwise_backward_weight_workspace(const Conv2dGeometry& g) {
  const int parts = parts_of(g);
  return parts > 1 ? sizeof(float) * parts * g.C * g.R * g.S : 0;
}

void conv2d_depthwise_backward_weight(const Conv2dGeometry& g, const float* x, const float* dy,
                                      float* dw, void* workspace) {
  const bool wide = g.C % 4 == 0 && aligned16(x) && aligned16(dy);
  Depthwise s = depthwise_of(g, true, wide);
  s.in = x, s.dy = dy;
  s.splits = parts_of(g);
  s.out = s.splits > 1 ? static_cast<float*>(workspace) : dw;
  s.tap_blocks = static_cast<int>(ceil_div(g.R * g.S, kTaps));
  launch("conv2d_backward_weight_depthwise_kernel",
         wide ? conv2d_backward_weight_depthwise_kernel<4>
              : conv2d_backward_weight_depthwise_kernel<1>,
         static_cast<unsigned>(s.blocks_c * s.tap_blocks * s.splits), kThreads, 0, s);
  if (s.splits > 1)
    sum_slots({s.out, s.splits, g.C * g.R * g.S, g.C * g.R * g.S, nullptr, false, dw, {}, 0});
}

}  // namespace sentei::cuda
