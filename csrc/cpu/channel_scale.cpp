// y = x m per channel, 8 bytes per element; backward dx = dy m and dm = sum dy x in one pass, 12.
#include "kernels/channel_scale.hpp"

#include "cpu/channels.hpp"

namespace sentei::cpu::SENTEI_ISA {

using namespace sentei::kernels;
namespace {

std::size_t workspace_bytes(std::int64_t rows, std::int64_t C) {
  if (C == 0) return 0;
  const View v = view_of(rows, C);
  return static_cast<std::size_t>(slot_doubles(v)) * sizeof(double) +
         static_cast<std::size_t>(padded(v.width)) * sizeof(float);
}

float* wide_of(const View& v, std::byte* workspace) {
  return reinterpret_cast<float*>(reinterpret_cast<double*>(workspace) + slot_doubles(v));
}

void forward(std::int64_t rows, std::int64_t C, const float* x, const float* m, float* y,
             std::byte* workspace) {
  const View v = view_of(rows, C);
  float* wide = wide_of(v, workspace);
  expand(v, m, wide);
  map_rows(v, y, [=](std::int64_t i, std::int64_t c, auto tag) {
    st(y + i, ld(x + i, tag) * ld(wide + c, tag), tag);
  });
}

struct Products {
  struct State {
    vf m;
  };
  const float *dy, *x, *wide;
  float* dx;

  template <class Tag>
  inline __attribute__((always_inline)) State begin(std::int64_t, std::int64_t c, Tag tag) const {
    return {ld(wide + c, tag)};
  }
  template <class Tag>
  inline __attribute__((always_inline)) void step(const State& state, std::int64_t i, Tag tag,
                                                  vf& s, vf&) const {
    const vf g = ld(dy + i, tag);
    s = fma(g, ld(x + i, tag), s);
    st(dx + i, g * state.m, tag);
  }
  inline __attribute__((always_inline)) void fetch(std::int64_t i) const {
    prefetch(dy, i);
    prefetch(x, i);
  }
  inline __attribute__((always_inline)) void end(const State&, std::int64_t, int, std::int64_t,
                                                 vf s, vf, double* S, double*) const {
    add_to(S, s);
  }
};

void backward(std::int64_t rows, std::int64_t C, const float* dy, const float* x, const float* m,
              float* dx, float* dm, std::byte* workspace) {
  const View v = view_of(rows, C);
  double* slots = reinterpret_cast<double*>(workspace);
  float* wide = wide_of(v, workspace);
  expand(v, m, wide);
  reduce_rows(v, slots, Products{dy, x, wide, dx});
  for (std::int64_t c = 0; c < C; ++c) dm[c] = static_cast<float>(slots[c]);
}

}  // namespace

extern const ChannelScaleKernels channel_scale_kernels;
const ChannelScaleKernels channel_scale_kernels = {workspace_bytes, forward, backward};

}  // namespace sentei::cpu::SENTEI_ISA
