// Channels of the active group, side by side: 4 bytes read and written per element that is taken. A
// contiguous group is copied in vectors, a permuted one element by element.
#include "kernels/gather_channels.hpp"

#include "cpu/channels.hpp"

namespace sentei::cpu::SENTEI_ISA {

using namespace sentei::kernels;
namespace {

void forward(const SemiSyncRows& r, std::int64_t pixels, const float* x, float* y) {
  const std::int64_t group = r.wide ? *static_cast<const std::int64_t*>(r.group)
                                    : *static_cast<const std::int32_t*>(r.group);
  const std::int32_t* const list = r.rows + r.offsets[group];
  const std::int64_t count = r.offsets[group + 1] - r.offsets[group], C = r.count, K = r.dw_rows;
  bool together = true;
  for (std::int64_t k = 1; k < count; ++k) together = together && list[k] == list[0] + k;
  const std::int64_t per = imax(1, kMapBlock / imax(1, K));
  parallel_for(ceil_div(pixels, per), [&](std::int64_t task) {
    for (std::int64_t p = task * per; p < imin(pixels, (task + 1) * per); ++p) {
      const float* const from = x + p * C;
      float* const to = y + p * K;
      if (together && count) {
        const float* const first = from + list[0];
        columns(count, [=](std::int64_t c, auto tag) { st(to + c, ld(first + c, tag), tag); });
      } else {
        for (std::int64_t k = 0; k < count; ++k) to[k] = from[list[k]];
      }
      for (std::int64_t k = count; k < K; ++k) to[k] = 0;
    }
  });
}

}  // namespace

extern const GatherChannelsKernels gather_channels_kernels;
const GatherChannelsKernels gather_channels_kernels = {forward};

}  // namespace sentei::cpu::SENTEI_ISA
