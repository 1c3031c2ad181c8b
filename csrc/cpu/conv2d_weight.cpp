// Weight gradient: dw[k][r][s][c] = sum over pixels of dy[n][p][q][k] x[n][p sh - ph + r
// dh][...][c]. Sums run over chunks of about 512 pixels from zero, chunks are added into a slot (a
// private dw), slots are added in order: three levels, cut by the geometry alone, so the bits do
// not depend on threads.
#include "core/parallel.hpp"
#include "cpu/conv2d_chunk.hpp"
#include "cpu/conv2d_plan.hpp"
#include "cpu/gemm.hpp"

namespace sentei::cpu::SENTEI_ISA {
namespace {

using std::int64_t;

// The slot holds rows of one of two shapes: (s, c) with vectors of k, or k with vectors of (s, c).
struct Place {
  int64_t group, panel;  // panel of filters within the group
  float* out;            // first element of the group in the slot
};

SENTEI_NOINLINE void add_chunk(const Conv2dWeightArgs& a, const Conv2dChunk& chunk, int64_t r,
                               const Place& at) {
  const Conv2dGeometry& g = *a.g;
  const int64_t Cg = g.group_channels(), Kg = g.group_filters();
  const Conv2dChunkRow rows = conv2d_chunk_row(g, chunk, r);
  if (rows.p0 >= rows.p1) return;
  const float* x = a.x + rows.x + at.group * Cg;
  const float* dy = a.dy + rows.dy + at.group * Kg;
  const int64_t k_begin = at.panel * kPanel, k_end = imin(Kg, k_begin + kPanel);
  for (int64_t i = 0; i < a.plan->column_count; ++i) {
    const Conv2dColumns& columns = a.plan->columns[i];
    const int64_t step = columns.per_row * chunk.images, n = (rows.p1 - rows.p0) * step;
    const ByList list{columns.list[chunk.images - a.plan->images] + (rows.p0 - chunk.p0) * step};
    const int64_t row = (r * g.S + columns.s0) * Cg, run = (columns.s1 - columns.s0) * Cg;
    if (a.split.mode == WeightMode::channels_in_lanes) {
      const int64_t ldo = g.R * g.S * Cg;
      for_blocks(0, run, [&](int64_t j, auto v, int last) {
        outer_rows<decltype(v)::value>(Kg, dy, x + j, list, n, at.out + row + j, ldo, last, true);
      });
    } else {
      const int64_t ldo = padded(Kg);
      for_blocks(k_begin, k_end, [&](int64_t k, auto v, int last) {
        outer_rows<decltype(v)::value>(run, x, dy + k, list, n, at.out + row * ldo + k, ldo, last,
                                       true);
      });
    }
  }
}

// Few channels: the windows of `count` pixels, as rows of R S C floats, zero where they leave x. A
// row may be overrun by a vector: the next one, or the padding behind it, is written later or never
// read.
SENTEI_NOINLINE void copy_patches(const Conv2dGeometry& g, const float* x, int64_t pixel,
                                  int64_t count, float* patch, int64_t stride) {
  const int64_t run = g.S * g.C;
  int64_t q = pixel % g.Q, p = pixel / g.Q % g.P, n = pixel / g.Q / g.P;
  for (int64_t i = 0; i < count; ++i, patch += stride) {
    const int64_t h0 = p * g.stride_h - g.padding_h, w0 = q * g.stride_w - g.padding_w;
    const float* image = x + n * g.H * g.W * g.C;
    const bool inside = g.dilation_w == 1 && w0 >= 0 && w0 + g.S <= g.W;
    for (int64_t r = 0; r < g.R; ++r) {
      const int64_t h = h0 + r * g.dilation_h;
      float* dst = patch + r * run;
      if (h < 0 || h >= g.H) {
        for (int64_t j = 0; j < run; j += kLanes) store(dst + j, vf{});
      } else if (inside) {
        const float* src = image + (h * g.W + w0) * g.C;
        for (int64_t j = 0; j < run; j += kLanes)
          store(dst + j, load_n(src + j, static_cast<int>(imin(kLanes, run - j))));
      } else {
        for (int64_t s = 0; s < g.S; ++s) {
          const int64_t w = w0 + s * g.dilation_w;
          for (int64_t c = 0; c < g.C; ++c)
            dst[s * g.C + c] = w >= 0 && w < g.W ? image[(h * g.W + w) * g.C + c] : 0.0f;
        }
      }
    }
    if (++q == g.Q) {
      q = 0;
      if (++p == g.P) p = 0, ++n;
    }
  }
}

void add_patches(const Conv2dWeightArgs& a, const Range& pixels, const Place& at, float* patch) {
  const Conv2dGeometry& g = *a.g;
  const int64_t rows = g.R * g.S * g.C, ldo = padded(g.K);
  for (int64_t i = pixels.begin; i < pixels.end; i += a.split.patch_pixels) {
    const int64_t n = imin(a.split.patch_pixels, pixels.end - i);
    copy_patches(g, a.x, i, n, patch, a.split.patch_stride);
    const float* dy = a.dy + i * g.K;
    for_blocks(at.panel * kPanel, imin(g.K, (at.panel + 1) * kPanel),
               [&](int64_t k, auto v, int last) {
                 outer_rows<decltype(v)::value>(rows, patch, dy + k, ByList{a.plan->patches}, n,
                                                at.out + k, ldo, last, true);
               });
  }
}

void clear(float* p, int64_t n) {
  for (int64_t i = 0; i < n; i += kLanes)
    store_n(p + i, vf{}, static_cast<int>(imin(kLanes, n - i)));
}

// dw = sum of the slots, in order. Slots with k in the lanes are transposed on the way.
void reduce(const Conv2dWeightArgs& a) {
  const Conv2dGeometry& g = *a.g;
  const int64_t Kg = g.group_filters(), rows = g.R * g.S * g.group_channels();
  const int64_t slots = a.split.slots, size = a.split.slot_floats;
  if (a.split.mode == WeightMode::channels_in_lanes) {
    const int64_t parts = imax(1, size / 4096);
    parallel_for(parts, [&](int64_t task) {
      const Range part = even_part(size, parts, task);
      for (int64_t i = part.begin; i < part.end; i += kLanes) {
        const int n = static_cast<int>(imin(kLanes, part.end - i));
        vf sum = load_n(a.workspace + i, n);
        for (int64_t s = 1; s < slots; ++s) sum += load_n(a.workspace + s * size + i, n);
        store_n(a.dw + i, sum, n);
      }
    });
    return;
  }
  const int64_t ldo = padded(Kg), parts = ceil_div(rows, 64);
  parallel_for(g.G * parts, [&](int64_t task) {
    const int64_t group = task / parts;
    const int64_t begin = task % parts * 64, end = imin(rows, begin + 64);
    const float* in = a.workspace + group * rows * ldo;
    float* out = a.dw + group * Kg * rows;
    for (int64_t j = begin; j < end; j += kLanes)
      for (int64_t k = 0; k < Kg; k += kLanes) {
        const int n = static_cast<int>(imin(kLanes, end - j));
        vf t[kLanes];
#pragma GCC unroll 16
        for (int i = 0; i < kLanes; ++i) t[i] = vf{};
        for (int64_t s = 0; s < slots; ++s) {
          const float* src = in + s * size + j * ldo + k;
#pragma GCC unroll 16
          for (int i = 0; i < kLanes; ++i)
            if (i < n) t[i] += load(src + i * ldo);
        }
        transpose(t);
#pragma GCC unroll 16
        for (int i = 0; i < kLanes; ++i)
          if (k + i < Kg) store_n(out + (k + i) * rows + j, t[i], n);
      }
  });
}

void run(const Conv2dWeightArgs& a) {
  const Conv2dGeometry& g = *a.g;
  const Conv2dWeightSplit& split = a.split;
  const int64_t Kg = g.group_filters(), rows = g.R * g.S * g.group_channels();
  const bool swap = split.mode == WeightMode::channels_in_lanes;
  const int64_t group_panels = split.panels / g.G;
  float* patches = a.workspace + split.slots * split.slot_floats;
  parallel_for(split.slots * split.panels * split.row_parts, [&](int64_t task) {
    const int64_t part = task % split.row_parts, panel = task / split.row_parts % split.panels;
    const int64_t slot = task / (split.row_parts * split.panels);
    const Range r = even_part(g.R, split.row_parts, part);
    Place at{panel / group_panels, panel % group_panels, nullptr};
    at.out = a.workspace + slot * split.slot_floats + at.group * rows * (swap ? Kg : padded(Kg));
    const int64_t row0 = r.begin * g.S * g.group_channels(),
                  row1 = r.end * g.S * g.group_channels();
    if (swap) {
      for (int64_t k = 0; k < Kg; ++k) clear(at.out + k * rows + row0, row1 - row0);
    } else {
      const int64_t k = at.panel * kPanel, width = imin(kPanel, padded(Kg) - k);
      for (int64_t j = row0; j < row1; ++j) clear(at.out + j * padded(Kg) + k, width);
    }
    if (split.mode == WeightMode::patches) {
      add_patches(a, even_part(g.N * g.P * g.Q, split.slots, slot), at,
                  patches + task * split.patch_floats);
      return;
    }
    const Range chunks = even_part(a.plan->chunks, split.slots, slot);
    for (int64_t i = chunks.begin; i < chunks.end; ++i) {
      const Conv2dChunk chunk = conv2d_chunk(g, *a.plan, i);
      for (int64_t row = r.begin; row < r.end; ++row) add_chunk(a, chunk, row, at);
    }
  });
  reduce(a);
}

}  // namespace

extern const Conv2dWeightKernels conv2d_weight_kernels;
const Conv2dWeightKernels conv2d_weight_kernels = {run};

}  // namespace sentei::cpu::SENTEI_ISA
