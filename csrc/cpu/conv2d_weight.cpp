// Weight gradient: dw[k][r][s][c] = sum over pixels of dy[n][p][q][k] x[n][p sh - ph + r
// dh][...][c]. Sums run over chunks of about 512 pixels from zero, chunks are added into a slot (a
// private dw), slots are added in order: three levels, cut by the geometry alone, so the bits do
// not depend on threads.
#include "core/parallel.hpp"
#include "cpu/conv2d_chunk.hpp"
#include "cpu/conv2d_plan.hpp"
#include "cpu/conv2d_weight_slots.hpp"
#include "cpu/conv2d_windows.hpp"
#include "cpu/gemm.hpp"
#include "cpu/scratch_blocks.hpp"

namespace sentei::cpu::SENTEI_ISA {
namespace {

using std::int64_t;

// What one task adds to: rows of (r, s, c) with k in the lanes, or rows of k with (r, s, c) in the
// lanes.
struct Place {
  int64_t group, panel;  // panel of filters within the group
  Range r;               // rows of the filter
  float* out;            // first element of the group in the slot
  float* scratch;        // lent to this task
};

// dy is broadcast, the taps of one row are vectors in x as it lies: for few filters, and where the
// copies of add_packed would cost more than they save (1x1, strides).
SENTEI_NOINLINE void add_swapped(const Conv2dWeightArgs& a, const Conv2dChunk& chunk,
                                 const Place& at) {
  const Conv2dGeometry& g = *a.g;
  const int64_t Cg = g.group_channels(), Kg = g.group_filters(), ldo = g.R * g.S * Cg;
  const Range k = even_part(Kg, a.split.panels / g.G, at.panel);
  const float* dy = a.dy + at.group * Kg + k.begin + (chunk.n0 * g.P + chunk.p0) * g.Q * g.K;
  for (int64_t r = at.r.begin; r < at.r.end; ++r) {
    const Conv2dChunkRow rows = conv2d_chunk_row(g, chunk, r);
    if (rows.p0 >= rows.p1) continue;
    // May lie before the tensor; the offsets of the list lead back inside.
    const float* x = a.x + at.group * Cg + (chunk.n0 * g.H + rows.h) * g.W * g.C;
    for (int64_t i = 0; i < a.plan->column_count; ++i) {
      const Conv2dColumns& columns = a.plan->columns[i];
      const int64_t step = columns.per_row * chunk.images, n = (rows.p1 - rows.p0) * step;
      const ByList list{columns.list[chunk.images - a.plan->images] + (rows.p0 - chunk.p0) * step};
      float* out = at.out + k.begin * ldo + (r * g.S + columns.s0) * Cg;
      for_blocks(0, (columns.s1 - columns.s0) * Cg, [&](int64_t j, auto v, int last) {
        outer_rows<decltype(v)::value>(k.end - k.begin, dy, x + j, list, n, out + j, ldo, last,
                                       true);
      });
    }
  }
}

// x and dy of the chunk are copied to P channels and V vectors of k per pixel: then the pixels of a
// tile lie in a row, its x in the L1 cache, whatever the strides of the tensors are.
template <int V>
SENTEI_NOINLINE void add_packed(const Conv2dWeightArgs& a, const Conv2dChunk& chunk,
                                const Place& at) {
  constexpr int P = kTileRows<V>, L = V * kLanes;
  const Conv2dGeometry& g = *a.g;
  const int64_t Cg = g.group_channels(), Kg = g.group_filters(), ldo = padded(Kg);
  const int64_t k_begin = at.panel * kPanel, k_end = imin(Kg, k_begin + kPanel);
  const int64_t pixels = chunk.images * (chunk.p1 - chunk.p0) * g.Q;
  const float* dy = a.dy + (chunk.n0 * g.P + chunk.p0) * g.Q * g.K + at.group * Kg + k_begin;
  float *x_packed = at.scratch, *dy_packed = x_packed + a.split.x_floats;
  const bool packed = g.G == 1 && g.K == L;  // dy already is one panel
  if (!packed) {
    for_blocks(k_begin, k_end, [&](int64_t k, auto v, int last) {
      pack_vectors<decltype(v)::value>(dy + k - k_begin, g.K, pixels, last,
                                       dy_packed + (k - k_begin) * pixels);
    });
  }
  // Rows of x that the chunk sees: of one image, or all rows of several.
  const Conv2dChunkRow top = conv2d_chunk_row(g, chunk, 0);
  const int64_t span = (chunk.p1 - chunk.p0 - 1) * g.stride_h + (g.R - 1) * g.dilation_h + 1;
  const int64_t h0 = a.plan->bands ? imin(imax(0, top.h), g.H) : 0;
  const int64_t h1 = a.plan->bands ? imax(h0, imin(g.H, top.h + span)) : g.H * chunk.images;
  const float* x = a.x + (chunk.n0 * g.H + h0) * g.W * g.C + at.group * Cg;
  const int64_t x_pixels = (h1 - h0) * g.W;
  for (int64_t c = 0; c < Cg; c += P) {
    // Several blocks at once, so that x is read in stretches of whole cache lines.
    const int64_t part = c % kPackedChannels;
    if (part == 0)
      pack_rows<P>(x + c, g.C, x_pixels, imin(kPackedChannels, Cg - c), x_packed, x_pixels * P);
    const int m = static_cast<int>(imin(P, Cg - c));
    for (int64_t r = at.r.begin; r < at.r.end; ++r) {
      const Conv2dChunkRow rows = conv2d_chunk_row(g, chunk, r);
      if (rows.p0 >= rows.p1) continue;
      const float* xr = x_packed + part * x_pixels + (rows.h - h0) * g.W * P;
      for (int64_t i = 0; i < a.plan->column_count; ++i) {
        const Conv2dColumns& columns = a.plan->columns[i];
        const int64_t step = columns.per_row * chunk.images, n = (rows.p1 - rows.p0) * step;
        const Offset* list =
            columns.list[chunk.images - a.plan->images] + (rows.p0 - chunk.p0) * step;
        float* out = at.out + ((r * g.S + columns.s0) * Cg + c) * ldo;
        for_blocks(k_begin, k_end, [&](int64_t k, auto v, int) {
          constexpr int U = decltype(v)::value;
          const float* d = packed ? dy : dy_packed + (k - k_begin) * pixels;
          if constexpr (U <= V)
            outer_pick<U, P>(m, xr, d, ByPixel<P, U * kLanes>{list}, n, out + k, ldo, kLanes, true);
        });
      }
    }
  }
}

void add_chunk(const Conv2dWeightArgs& a, const Conv2dChunk& chunk, const Place& at) {
  const int64_t Kg = a.g->group_filters(), k = at.panel * kPanel;
  if (a.split.mode == WeightMode::channels_in_lanes) return add_swapped(a, chunk, at);
  const int64_t vectors = ceil_div(imin(kPanel, Kg - k), kLanes);
  if (vectors == 1) return add_packed<1>(a, chunk, at);
  if constexpr (kMaxVectors == 2) return add_packed<2>(a, chunk, at);
  if constexpr (kMaxVectors == 4) {
    if (vectors == 2) return add_packed<2>(a, chunk, at);
    if (vectors == 3) return add_packed<3>(a, chunk, at);
    add_packed<4>(a, chunk, at);
  }
}

void clear(float* p, int64_t n) {
  for (int64_t i = 0; i < n; i += kLanes)
    store_n(p + i, vf{}, static_cast<int>(imin(kLanes, n - i)));
}

// dw = sum of the slots, in order.
void reduce(const Conv2dWeightArgs& a) {
  const Conv2dGeometry& g = *a.g;
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
  add_slots(g, a.workspace, slots, size, a.dw);
}

void run(const Conv2dWeightArgs& a) {
  const Conv2dGeometry& g = *a.g;
  const Conv2dWeightSplit& split = a.split;
  const int64_t Kg = g.group_filters(), rows = g.R * g.S * g.group_channels();
  const bool swap = split.mode == WeightMode::channels_in_lanes;
  const int64_t group_panels = split.panels / g.G;
  ScratchBlocks scratch(a.workspace + split.slots * split.slot_floats, split.scratch_floats,
                        split.scratch_blocks());
  parallel_for(split.slots * split.panels * split.row_parts, [&](int64_t task) {
    const int64_t part = task % split.row_parts, panel = task / split.row_parts % split.panels;
    const int64_t slot = task / (split.row_parts * split.panels);
    Place at{panel / group_panels, panel % group_panels, even_part(g.R, split.row_parts, part),
             a.workspace + slot * split.slot_floats, nullptr};
    at.out += at.group * rows * (swap ? Kg : padded(Kg));
    const int64_t row0 = at.r.begin * g.S * g.group_channels();
    const int64_t row1 = at.r.end * g.S * g.group_channels();
    if (swap) {
      const Range filters = even_part(Kg, group_panels, at.panel);
      for (int64_t k = filters.begin; k < filters.end; ++k)
        clear(at.out + k * rows + row0, row1 - row0);
    } else {
      const int64_t k = at.panel * kPanel, width = imin(kPanel, padded(Kg) - k);
      for (int64_t j = row0; j < row1; ++j) clear(at.out + j * padded(Kg) + k, width);
    }
    const int block = scratch.take();
    at.scratch = scratch.at(block);
    if (split.mode == WeightMode::windows) {
      const Range out_rows = even_part(g.N * g.P, split.slots, slot);
      add_windows(a, out_rows.begin, out_rows.end, panel, at.out, at.scratch);
    } else {
      const Range chunks = even_part(a.plan->chunks, split.slots, slot);
      for (int64_t i = chunks.begin; i < chunks.end; ++i)
        add_chunk(a, conv2d_chunk(g, *a.plan, i), at);
    }
    scratch.give(block);
  });
  reduce(a);
}

}  // namespace

extern const Conv2dWeightKernels conv2d_weight_kernels;
const Conv2dWeightKernels conv2d_weight_kernels = {run};

}  // namespace sentei::cpu::SENTEI_ISA
