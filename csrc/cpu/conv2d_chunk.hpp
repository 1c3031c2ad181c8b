// The chunks of output rows that the weight-gradient kernels sum over; see Conv2dWeightPlan.
#pragma once
#include "core/parallel.hpp"
#include "cpu/conv2d_plan.hpp"
#include "cpu/simd.hpp"

namespace sentei::cpu::SENTEI_ISA {
namespace {

struct Conv2dChunk {
  std::int64_t n0, images, p0, p1;
};
SENTEI_INLINE Conv2dChunk conv2d_chunk(const Conv2dGeometry& g, const Conv2dWeightPlan& plan,
                                       std::int64_t i) {
  if (plan.bands) {
    const Range p = even_part(g.P, plan.bands, i % plan.bands);
    return {i / plan.bands, 1, p.begin, p.end};
  }
  const Range n = even_part(g.N, plan.chunks, i);
  return {n.begin, n.end - n.begin, 0, g.P};
}

// The output rows [p0, p1) of a chunk whose window has row r of the filter inside x; h: the row of
// x that r meets at the first output row of the chunk (it may lie outside).
struct Conv2dChunkRow {
  std::int64_t p0, p1, h;
};
SENTEI_INLINE Conv2dChunkRow conv2d_chunk_row(const Conv2dGeometry& g, const Conv2dChunk& chunk,
                                              std::int64_t r) {
  const std::int64_t shift = g.padding_h - r * g.dilation_h;
  const std::int64_t first = shift > 0 ? ceil_div(shift, g.stride_h) : 0;
  const std::int64_t end = g.H + shift > 0 ? ceil_div(g.H + shift, g.stride_h) : 0;
  return {imax(chunk.p0, first), imin(chunk.p1, end), chunk.p0 * g.stride_h - shift};
}

}  // namespace
}  // namespace sentei::cpu::SENTEI_ISA
