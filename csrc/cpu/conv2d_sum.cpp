// Convolution as sums over taps, forward and input gradient alike:
//   out[n][pixel][k] = bias[k] + sum_{taps, c} in[n][pixel + tap][c] filter[tap][c][k]
// The filter is packed to [group][block of k][tap][c][k in block]; each class of pixels that sees
// the same taps runs through dot_tile, tiles crossing rows and images. Every output is one sum in
// one order, so the cut into tasks cannot change its bits.
#include "core/parallel.hpp"
#include "cpu/conv2d_plan.hpp"
#include "cpu/gemm.hpp"

namespace sentei::cpu::SENTEI_ISA {
namespace {

using std::int64_t;

constexpr int64_t kBandPixels = 12;  // a multiple of every kTileRows

struct Sizes {
  int64_t in_channels, out_channels, in_group, out_group, in_image, out_image, out_padded;
  int64_t panels;  // of one group

  Sizes(const Conv2dGeometry& g, bool backward) {
    in_channels = backward ? g.K : g.C;
    out_channels = backward ? g.C : g.K;
    in_group = in_channels / g.G, out_group = out_channels / g.G;
    in_image = (backward ? g.P * g.Q : g.H * g.W) * in_channels;
    out_image = (backward ? g.H * g.W : g.P * g.Q) * out_channels;
    out_padded = padded(out_group);
    panels = ceil_div(out_group, kPanel);
  }
};

struct Problem : Sizes {
  const Conv2dSumArgs* args;
  const Conv2dSumPlan* plan;
  float* bias;

  explicit Problem(const Conv2dSumArgs& a)
      : Sizes(*a.g, a.backward), args(&a), plan(a.plan), bias(a.padded_bias) {}
};

// Rows [begin, end) of the packed filter for the columns of one panel.
SENTEI_NOINLINE void pack_part(const Sizes& p, const Conv2dGeometry& g, const Conv2dSumPlan& plan,
                               bool backward, const float* filter, float* packed, int64_t group,
                               int64_t panel, int64_t begin, int64_t end) {
  const int64_t rows = plan.rows, taps = g.R * g.S;
  float* group_packed = packed + group * rows * p.out_padded;
  const int64_t k_end = imin(p.out_group, (panel + 1) * kPanel);
  for_blocks(panel * kPanel, k_end, [&](int64_t k, auto v, int last) {
    constexpr int V = decltype(v)::value, L = V * kLanes;
    float* dst = group_packed + k * rows;
    if (!backward) {
      const float* src = filter + (group * p.out_group + k) * rows;
      pack_transposed(src + begin, rows, L - kLanes + last, end - begin, dst + begin * L, L);
      return;
    }
    for (int64_t row = begin; row < end; ++row) {
      const int64_t tap = plan.tap_order[row / p.in_group], c = row % p.in_group;
      pack_vectors<V>(filter + ((group * p.in_group + c) * taps + tap) * p.out_group + k, 0, 1,
                      last, dst + row * L);
    }
  });
}

// Rounded up to whole tiles of any block.
SENTEI_INLINE int64_t tiles_up(int64_t pixels) {
  return pixels > 0 ? ceil_div(pixels, kBandPixels) * kBandPixels : 0;
}

// One block of V vectors of k for the images [n0, n1): of the pixels, class by class, those from
// part `band` on, in whole tiles.
template <int V>
SENTEI_NOINLINE void block(const Problem& p, int64_t n0, int64_t n1, int64_t bands, int64_t band,
                           const float* w, const float* init, const float* in, float* out,
                           int last) {
  constexpr int P = kTileRows<V>;
  const Conv2dSumPlan& plan = *p.plan;
  const Range part = even_part((n1 - n0) * (p.out_image / p.out_channels), bands, band);
  for (int64_t s = 0; s < plan.segments; ++s) {
    const bool final = s == plan.segments - 1;
    const float low = final && p.args->relu ? 0.0f : -__builtin_inff();
    int64_t first = 0;  // pixels of the classes before
    for (int64_t c = 0; c < plan.class_count; ++c) {
      const Conv2dClass& cls = plan.classes[c];
      const int64_t count = (n1 - n0) * cls.count;
      const Range range = {imin(tiles_up(part.begin - first), count),
                           imin(tiles_up(part.end - first), count)};
      first += count;
      if (range.begin == range.end) continue;
      const Tap* taps = cls.taps + cls.segment[s];
      const int64_t tap_count = cls.segment[s + 1] - cls.segment[s];
      int64_t n = n0 + range.begin / cls.count, i = range.begin % cls.count;
      const float* image = in + n * p.in_image;
      float* result = out + n * p.out_image;
      for (int64_t left = range.end - range.begin; left > 0;) {
        const float* xp[P];
        float* yp[P];
        const int m = static_cast<int>(imin(left, P));
        for (int j = 0; j < m; ++j) {
          xp[j] = image + cls.pixels[i].in;
          yp[j] = result + cls.pixels[i].out;
          if (++i == cls.count) {
            i = 0;
            image += p.in_image;
            result += p.out_image;
          }
        }
        dot_rows<V>(m, xp, taps, tap_count, w, s ? nullptr : init, yp, last, low);
        left -= m;
      }
    }
  }
}

void pack(const Conv2dGeometry& g, const Conv2dSumPlan& plan, bool backward, const float* filter,
          float* packed) {
  const Sizes p(g, backward);
  const int64_t rows = plan.rows, row_parts = ceil_div(rows, 128);
  parallel_for(g.G * p.panels * row_parts, [&](int64_t task) {
    const Range part = even_part(rows, row_parts, task % row_parts);
    pack_part(p, g, plan, backward, filter, packed, task / row_parts / p.panels,
              task / row_parts % p.panels, part.begin, part.end);
  });
}

void run(const Conv2dSumArgs& args) {
  const Conv2dGeometry& g = *args.g;
  const Problem p(args);
  const int64_t rows = p.plan->rows;
  for (int64_t group = 0; group < g.G; ++group)
    for (int64_t k = 0; k < p.out_padded; ++k)
      p.bias[group * p.out_padded + k] =
          args.bias && k < p.out_group ? args.bias[group * p.out_group + k] : 0.0f;

  // Chunks of images small enough for the caches; for few images the pixels are cut into bands.
  const int64_t pixels = p.out_image / p.out_channels;
  constexpr int64_t chunk_pixels = 768, wanted = 24, band_pixels = 2 * kBandPixels;
  constexpr int64_t band_madds = 1 << 18;
  const int64_t chunks = imax(1, imin(g.N, g.N * pixels / chunk_pixels));
  const int64_t chunk = ceil_div(g.N, chunks) * pixels;
  const int64_t madds = chunk * rows * imin(p.out_group, kPanel);
  const int64_t bands = imax(1, imin(ceil_div(wanted, chunks * g.G * p.panels),
                                     imin(chunk / band_pixels, madds / band_madds)));
  parallel_for(chunks * bands * g.G * p.panels, [&](int64_t task) {
    const int64_t panel = task % p.panels, group = task / p.panels % g.G;
    const int64_t part = task / (p.panels * g.G), band = part % bands;
    const Range images = even_part(g.N, chunks, part / bands);
    const int64_t end = imin(p.out_group, (panel + 1) * kPanel);
    for_blocks(panel * kPanel, end, [&](int64_t k, auto v, int last) {
      block<decltype(v)::value>(p, images.begin, images.end, bands, band,
                                args.packed + group * rows * p.out_padded + k * rows,
                                p.bias + group * p.out_padded + k, args.in + group * p.in_group,
                                args.out + group * p.out_group + k, last);
    });
  });
}

}  // namespace

extern const Conv2dSumKernels conv2d_sum_kernels;
const Conv2dSumKernels conv2d_sum_kernels = {pack, run};

}  // namespace sentei::cpu::SENTEI_ISA
