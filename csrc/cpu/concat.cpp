// Joining and cutting along channels: copies only, 8 bytes per element. A task does all parts of
// its rows, so that a cache line which two parts share is written while it is near.
#include "kernels/concat.hpp"

#include "cpu/channels.hpp"

namespace sentei::cpu::SENTEI_ISA {

using namespace sentei::kernels;
namespace {

SENTEI_INLINE void copy(std::int64_t n, const float* from, float* to) {
  columns(n, [=](std::int64_t c, auto tag) { st(to + c, ld(from + c, tag), tag); });
}

template <class F>
SENTEI_INLINE void each_row(std::int64_t rows, std::int64_t C, const F& f) {
  const std::int64_t per = imax(1, kMapBlock / C);
  parallel_for(ceil_div(rows, per), [&](std::int64_t task) {
    for (std::int64_t r = task * per; r < imin(rows, (task + 1) * per); ++r) f(r);
  });
}

void forward(std::int64_t rows, std::int64_t count, const float* const* xs,
             const std::int64_t* widths, float* y) {
  std::int64_t C = 0;
  for (std::int64_t i = 0; i < count; ++i) C += widths[i];
  each_row(rows, C, [=](std::int64_t r) {
    float* to = y + r * C;
    for (std::int64_t i = 0; i < count; ++i) {
      copy(widths[i], xs[i] + r * widths[i], to);
      to += widths[i];
    }
  });
}

void split(std::int64_t rows, std::int64_t C, std::int64_t width, const float* x, float* head,
           float* rest) {
  each_row(rows, C, [=](std::int64_t r) {
    copy(width, x + r * C, head + r * width);
    copy(C - width, x + r * C + width, rest + r * (C - width));
  });
}

}  // namespace

extern const ConcatKernels concat_kernels;
const ConcatKernels concat_kernels = {forward, split};

}  // namespace sentei::cpu::SENTEI_ISA
