// Sums for Taylor scores, in double. Pass 1: a task owns a block of pixels and channels and walks
// the samples, so x and g are read once (8 bytes per element) while its piece of the maps stays in
// cache; the dots of each sample go to a slot of `work`. Pass 2 (left out for a single pixel
// block): a task owns channels and adds the slots, pixel blocks in order within a sample, samples
// in order. One chain of additions per channel and per map element: cutting the samples into other
// batches changes no bit.
#include "kernels/scores.hpp"

#include "core/parallel.hpp"
#include "cpu/simd.hpp"

namespace sentei::cpu::SENTEI_ISA {

using namespace sentei::kernels;
namespace {

constexpr std::int64_t kMaxChannels = 128;  // of a channel block
constexpr std::int64_t kGroup = 64;         // channels per task of pass 2

// Blocks of about 2048 elements (their maps, 32 KB, stay in cache), at least 16 pixels, so that the
// slots are a small part of the traffic, at most 128 channels.
struct Cut : ScoreGeometry {
  std::int64_t pixel_blocks, channel_blocks;

  explicit Cut(const ScoreGeometry& s) : ScoreGeometry(s) {
    channel_blocks = ceil_div(channels, kMaxChannels);
    const std::int64_t width = imin(imax(channels, 1), kMaxChannels);
    pixel_blocks = ceil_div(pixels, imin(imax(2048 / width, 16), 256));
  }
};

std::int64_t workspace(const ScoreGeometry& s, std::int64_t rows) {
  const Cut cut(s);
  return cut.pixel_blocks == 1 ? 0 : s.samples * cut.pixel_blocks * s.channels * rows * 8;
}

struct Block {
  Range pixels, channels;
  std::int64_t slot;  // pixel block

  Block(const Cut& s, std::int64_t task)
      : pixels(even_part(s.pixels, s.pixel_blocks, task / s.channel_blocks)),
        channels(even_part(s.channels, s.channel_blocks, task % s.channel_blocks)),
        slot(task / s.channel_blocks) {}
};

// One sample of one block: xx = sum x^2, xg = sum x g, and the maps.
template <bool kG, bool kMaps>
SENTEI_INLINE void dots(const Block& b, std::int64_t channels, const float* __restrict x,
                        const float* __restrict g, double* __restrict sum_x,
                        double* __restrict sum_g, double* __restrict xx, double* __restrict xg) {
  const std::int64_t width = b.channels.end - b.channels.begin;
  for (std::int64_t c = 0; c < width; ++c) xx[c] = xg[c] = 0;
  for (std::int64_t p = b.pixels.begin; p < b.pixels.end; ++p) {
    const std::int64_t at = p * channels + b.channels.begin;
    for (std::int64_t c = 0; c < width; ++c) {
      const double xv = x[at + c];
      xx[c] += xv * xv;
      if (kG) {
        const double gv = g[at + c];
        xg[c] += xv * gv;
        if (kMaps) {
          sum_x[at + c] += xv;
          sum_g[at + c] += gv;
        }
      }
    }
  }
}

// One sample's dots of `width` channels into the sums; out points at the first of them.
template <bool kG>
SENTEI_INLINE void add_sample(std::int64_t width, std::int64_t C, const double* __restrict xx,
                              const double* __restrict xg, double* __restrict out) {
  for (std::int64_t c = 0; c < width; ++c) {
    const double a = xx[c];
    out[c] += a;
    out[3 * C + c] += a * a;
  }
  if (!kG) return;
  for (std::int64_t c = 0; c < width; ++c) {
    const double d = xg[c], dd = d * d;
    out[C + c] += d;
    out[2 * C + c] += dd;
    out[4 * C + c] += dd * d;
    out[5 * C + c] += dd * dd;
  }
}

template <bool kG, bool kMaps>
void accumulate_of(const ScoreGeometry& geometry, const float* x, const float* g, double* stats,
                   double* sum_x, double* sum_g, double* work) {
  const Cut s(geometry);
  constexpr std::int64_t kRows = kG ? 2 : 1;
  const std::int64_t C = s.channels, image = s.pixels * C;
  parallel_for(s.pixel_blocks * s.channel_blocks, [&](std::int64_t task) {
    const Block b(s, task);
    const std::int64_t width = b.channels.end - b.channels.begin;
    double xx[kMaxChannels], xg[kMaxChannels];
    for (std::int64_t n = 0; n < s.samples; ++n) {
      dots<kG, kMaps>(b, C, x + n * image, kG ? g + n * image : nullptr, sum_x, sum_g, xx, xg);
      if (s.pixel_blocks == 1) {  // nothing to wait for
        add_sample<kG>(width, C, xx, xg, stats + b.channels.begin);
        continue;
      }
      double* slot = work + (n * s.pixel_blocks + b.slot) * kRows * C + b.channels.begin;
      for (std::int64_t c = 0; c < width; ++c) slot[c] = xx[c];
      if (kG)
        for (std::int64_t c = 0; c < width; ++c) slot[C + c] = xg[c];
    }
  });
  if (s.pixel_blocks == 1) return;
  parallel_for(ceil_div(C, kGroup), [&](std::int64_t task) {
    const std::int64_t first = task * kGroup, width = imin(kGroup, C - first);
    for (std::int64_t n = 0; n < s.samples; ++n) {
      double xx[kGroup] = {}, xg[kGroup] = {};
      const double* slot = work + n * s.pixel_blocks * kRows * C + first;
      for (std::int64_t k = 0; k < s.pixel_blocks; ++k, slot += kRows * C) {
        for (std::int64_t c = 0; c < width; ++c) xx[c] += slot[c];
        if (kG)
          for (std::int64_t c = 0; c < width; ++c) xg[c] += slot[C + c];
      }
      add_sample<kG>(width, C, xx, xg, stats + first);
    }
  });
}

void accumulate(const ScoreGeometry& s, const float* x, const float* g, double* stats,
                double* sum_x, double* sum_g, double* work) {
  if (!g)
    accumulate_of<false, false>(s, x, g, stats, sum_x, sum_g, work);
  else if (!sum_x)
    accumulate_of<true, false>(s, x, g, stats, sum_x, sum_g, work);
  else
    accumulate_of<true, true>(s, x, g, stats, sum_x, sum_g, work);
}

SENTEI_INLINE void add_trace(std::int64_t width, std::int64_t C, const double* __restrict dot,
                             double* __restrict out) {
  for (std::int64_t c = 0; c < width; ++c) {
    const double square = dot[c] * dot[c];
    out[c] += square;
    out[C + c] += square * square;
  }
}

void trace(const ScoreGeometry& geometry, const float* x, const double* mean_g, double* stats,
           double* work) {
  const Cut s(geometry);
  const std::int64_t C = s.channels, image = s.pixels * C;
  parallel_for(s.pixel_blocks * s.channel_blocks, [&](std::int64_t task) {
    const Block b(s, task);
    const std::int64_t width = b.channels.end - b.channels.begin;
    for (std::int64_t n = 0; n < s.samples; ++n) {
      double dot[kMaxChannels];
      for (std::int64_t c = 0; c < width; ++c) dot[c] = 0;
      for (std::int64_t p = b.pixels.begin; p < b.pixels.end; ++p) {
        const std::int64_t at = p * C + b.channels.begin;
        const float* __restrict xv = x + n * image + at;
        const double* __restrict gv = mean_g + at;
        for (std::int64_t c = 0; c < width; ++c) dot[c] += static_cast<double>(xv[c]) * gv[c];
      }
      if (s.pixel_blocks == 1) {
        add_trace(width, C, dot, stats + b.channels.begin);
        continue;
      }
      double* slot = work + (n * s.pixel_blocks + b.slot) * C + b.channels.begin;
      for (std::int64_t c = 0; c < width; ++c) slot[c] = dot[c];
    }
  });
  if (s.pixel_blocks == 1) return;
  parallel_for(ceil_div(C, kGroup), [&](std::int64_t task) {
    const std::int64_t first = task * kGroup, width = imin(kGroup, C - first);
    for (std::int64_t n = 0; n < s.samples; ++n) {
      double dot[kGroup] = {};
      const double* slot = work + n * s.pixel_blocks * C + first;
      for (std::int64_t k = 0; k < s.pixel_blocks; ++k, slot += C)
        for (std::int64_t c = 0; c < width; ++c) dot[c] += slot[c];
      add_trace(width, C, dot, stats + first);
    }
  });
}

}  // namespace

extern const ScoreKernels score_kernels;
const ScoreKernels score_kernels = {workspace, accumulate, trace};

}  // namespace sentei::cpu::SENTEI_ISA
