// Depthwise convolution, vectors along the channels:
//   y[n][pixel][c] = bias[c] + sum_taps x[n][pixel + tap][c] w[c][tap]   (input gradient alike)
//   dw[c][tap]     = sum over pixels of dy[n][pixel][c] x[n][pixel + tap][c]
// One load per multiply-add: bound by loads, not by arithmetic. Sums are cut as in
// conv2d_weight.cpp.
#include "core/parallel.hpp"
#include "cpu/conv2d_chunk.hpp"
#include "cpu/conv2d_plan.hpp"
#include "cpu/gemm.hpp"

namespace sentei::cpu::SENTEI_ISA {
namespace {

using std::int64_t;

constexpr int kPixels = 4;

template <int V>
SENTEI_NOINLINE void sum_tile(const float* const* xp, const Tap* taps, int64_t tap_count,
                              const float* w, int64_t ldw, const float* bias, float* const* yp,
                              int last, float low) {
  vf acc[kPixels][V];
#pragma GCC unroll 4
  for (int p = 0; p < kPixels; ++p)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) acc[p][v] = load(bias + kLanes * v);
  for (int64_t t = 0; t < tap_count; ++t) {
    const float* wt = w + taps[t].w * ldw;
    vf wv[V];
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) wv[v] = load(wt + kLanes * v);
#pragma GCC unroll 4
    for (int p = 0; p < kPixels; ++p) {
      const float* x = xp[p] + taps[t].x;
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v)
        acc[p][v] =
            fma(v == V - 1 ? load_n(x + kLanes * v, last) : load(x + kLanes * v), wv[v], acc[p][v]);
    }
  }
  const vf floor = splat(low);
#pragma GCC unroll 4
  for (int p = 0; p < kPixels; ++p)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      const vf r = vmax(floor, acc[p][v]);
      if (v == V - 1) {
        store_n(yp[p] + kLanes * v, r, last);
      } else {
        store(yp[p] + kLanes * v, r);
      }
    }
}

// [tap][channel]
void pack(const Conv2dGeometry& g, const Conv2dSumPlan& plan, const float* filter, float* packed) {
  const int64_t taps = g.R * g.S, C = g.C, ldw = padded(C);
  for (int64_t t = 0; t < taps; ++t)
    for (int64_t c = 0; c < ldw; ++c)
      packed[t * ldw + c] = c < C ? filter[c * taps + plan.tap_order[t]] : 0.0f;
}

void sum(const Conv2dSumArgs& a) {
  const Conv2dGeometry& g = *a.g;
  const int64_t C = g.C, ldw = padded(C), panels = ceil_div(C, kPanel);
  const float* w = a.packed;
  float* bias = a.padded_bias;
  for (int64_t c = 0; c < ldw; ++c) bias[c] = a.bias && c < C ? a.bias[c] : 0.0f;

  const int64_t in_image = (a.backward ? g.P * g.Q : g.H * g.W) * C;
  const int64_t out_image = (a.backward ? g.H * g.W : g.P * g.Q) * C;
  const float low = a.relu ? 0.0f : -__builtin_inff();
  const int64_t bands = imax(1, imin(ceil_div(24, imax(1, g.N * panels)), out_image / C / 48));
  parallel_for(g.N * bands * panels, [&](int64_t task) {
    const int64_t panel = task % panels, band = task / panels % bands, n = task / panels / bands;
    for_blocks(panel * kPanel, imin(C, (panel + 1) * kPanel), [&](int64_t k, auto v, int last) {
      const float* in = a.in + n * in_image + k;
      float* out = a.out + n * out_image + k;
      for (int64_t c = 0; c < a.plan->class_count; ++c) {
        const Conv2dClass& cls = a.plan->classes[c];
        const Range range = even_part(cls.count, bands, band);
        for (int64_t i = range.begin; i < range.end; i += kPixels) {
          const float* xp[kPixels];
          float* yp[kPixels];
          for (int j = 0; j < kPixels; ++j) {  // a short tile repeats its last pixel
            const Conv2dPixel& pixel = cls.pixels[imin(i + j, range.end - 1)];
            xp[j] = in + pixel.in, yp[j] = out + pixel.out;
          }
          sum_tile<decltype(v)::value>(xp, cls.taps, cls.segment[a.plan->segments], w + k, ldw,
                                       bias + k, yp, last, low);
        }
      }
    });
  });
}

template <int V>
SENTEI_NOINLINE void weight_tile(const float* x, const float* dy, const Offset* list, int64_t n,
                                 float* out, int last) {
  vf acc[V];
#pragma GCC unroll 4
  for (int v = 0; v < V; ++v) acc[v] = vf{};
  for (int64_t i = 0; i < n; ++i) {
    const float *a = x + list[i].a, *b = dy + list[i].b;
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      const int m = v == V - 1 ? last : kLanes;
      acc[v] = fma(load_n(a + kLanes * v, m), load_n(b + kLanes * v, m), acc[v]);
    }
  }
#pragma GCC unroll 4
  for (int v = 0; v < V; ++v) store(out + kLanes * v, load(out + kLanes * v) + acc[v]);
}

void weight(const Conv2dWeightArgs& args) {
  const Conv2dGeometry& g = *args.g;
  const Conv2dWeightPlan& plan = *args.plan;
  const Conv2dWeightSplit& split = args.split;
  const int64_t taps = g.R * g.S, C = g.C, ldo = padded(C);
  parallel_for(split.slots * split.panels, [&](int64_t task) {
    const int64_t panel = task % split.panels, slot = task / split.panels;
    const int64_t begin = panel * kPanel, end = imin(C, begin + kPanel);
    float* out = args.workspace + slot * split.slot_floats;
    for (int64_t t = 0; t < taps; ++t)
      for (int64_t c = begin; c < padded(end); ++c) out[t * ldo + c] = 0.0f;
    const Range chunks = even_part(plan.chunks, split.slots, slot);
    for (int64_t i = chunks.begin; i < chunks.end; ++i) {
      const Conv2dChunk chunk = conv2d_chunk(g, plan, i);
      for (int64_t r = 0; r < g.R; ++r) {
        const Conv2dChunkRow row = conv2d_chunk_row(g, chunk, r);
        if (row.p0 >= row.p1) continue;
        // Offset 0 of the lists; x may lie before the tensor, the offsets then lead back inside.
        const int64_t x0 = (chunk.n0 * g.H + row.h) * g.W * C;
        const int64_t dy0 = (chunk.n0 * g.P + chunk.p0) * g.Q * C;
        for (int64_t z = 0; z < plan.column_count; ++z) {
          const Conv2dColumns& columns = plan.columns[z];
          const int64_t step = columns.per_row * chunk.images, n = (row.p1 - row.p0) * step;
          const Offset* list =
              columns.list[chunk.images - plan.images] + (row.p0 - chunk.p0) * step;
          float* o = out + (r * g.S + columns.s0) * ldo;
          for_blocks(begin, end, [&](int64_t k, auto v, int last) {
            weight_tile<decltype(v)::value>(args.x + x0 + k, args.dy + dy0 + k, list, n, o + k,
                                            last);
          });
        }
      }
    }
  });
  for (int64_t c = 0; c < C; ++c)
    for (int64_t t = 0; t < taps; ++t) {
      float total = 0.0f;
      for (int64_t s = 0; s < split.slots; ++s)
        total += args.workspace[s * split.slot_floats + t * ldo + c];
      args.dw[c * taps + t] = total;
    }
}

}  // namespace

extern const Conv2dDepthwiseKernels conv2d_depthwise_kernels;
const Conv2dDepthwiseKernels conv2d_depthwise_kernels = {pack, sum, weight};

}  // namespace sentei::cpu::SENTEI_ISA
