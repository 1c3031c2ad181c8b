// Sums for Taylor scores, in double. Pass 1: a block owns up to 32 channels (lanes) and 4 pixels
// per thread, and walks the samples four at a time; x and g are read once (8 bytes per element),
// the maps stay in registers (one chain of additions over the samples per element), and the dots of
// each sample, added over the block's threads in order, go to a slot of `work` per pixel block.
// Without maps the samples are cut over blocks too. Pass 2: 32 warps add the slots of 32 samples,
// pixel blocks in order; then one thread per channel and sum adds the samples, in order. Cuts
// depend on pixels and channels only and every sum over samples is one chain: cutting the samples
// into other batches changes no bit.
#include "cuda/launch.cuh"
#include "cuda/table.cuh"
#include "kernels/scores.hpp"

namespace sentei::cuda {
namespace {

using kernels::ScoreGeometry;

constexpr int kThreads = 256, kPixels = 4, kRound = 4;  // pixels per thread, samples per round
constexpr int kSumThreads = 1024, kSumSamples = 32, kSumChannels = 32;

enum class Mode { x, dots, maps, trace };
template <Mode kMode>
constexpr int kRowsOf = kMode == Mode::dots || kMode == Mode::maps ? 2 : 1;

struct Cut {
  std::int64_t samples, pixels, channels;
  std::int64_t pixel_blocks, channel_blocks;
  int shift;  // 1 << shift channels per block
};

Cut cut_of(const ScoreGeometry& s) {
  Cut c{s.samples, s.pixels, s.channels, 0, 0, 0};
  while (c.shift < 5 && (std::int64_t{1} << c.shift) < s.channels) ++c.shift;
  c.channel_blocks = ceil_div(s.channels, std::int64_t{1} << c.shift);
  c.pixel_blocks = ceil_div(s.pixels, kPixels * (kThreads >> c.shift));
  return c;
}

// work: (samples, pixel blocks, rows, channels). With maps `a` and `b` are the maps; for the trace
// a is mean_g.
template <Mode kMode>
__global__ void __launch_bounds__(kThreads)
    score_accumulate_dots_kernel(Cut s, const float* x, const float* g, double* a, double* b,
                                 double* work) {
  constexpr int kSums = kRowsOf<kMode>;
  constexpr bool kG = kSums == 2, kMaps = kMode == Mode::maps;
  SENTEI_SHARED(double, parts, [kRound * kSums * kThreads]);
  const int lanes = 1 << s.shift, slices = kThreads >> s.shift;
  const int lane = static_cast<int>(threadIdx.x) & (lanes - 1);
  const int slice = static_cast<int>(threadIdx.x) >> s.shift;
  const std::int64_t pixel_block = blockIdx.x / s.channel_blocks;
  const std::int64_t c0 = (blockIdx.x - pixel_block * s.channel_blocks) * lanes;
  const std::int64_t image = s.pixels * s.channels;
  std::int64_t at[kPixels];
  bool here[kPixels];
  double first[kPixels], second[kPixels];
#pragma unroll
  for (int p = 0; p < kPixels; ++p) {
    const std::int64_t pixel = (pixel_block * kPixels + p) * slices + slice;
    here[p] = pixel < s.pixels && c0 + lane < s.channels;
    at[p] = pixel * s.channels + c0 + lane;
    first[p] = (kMaps || kMode == Mode::trace) && here[p] ? a[at[p]] : 0;
    second[p] = kMaps && here[p] ? b[at[p]] : 0;
  }
  const std::int64_t step = std::int64_t{gridDim.y} * kRound;
  for (std::int64_t n0 = std::int64_t{blockIdx.y} * kRound; n0 < s.samples; n0 += step) {
    float xs[kRound][kPixels], gs[kRound][kPixels];
#pragma unroll
    for (int r = 0; r < kRound; ++r)
#pragma unroll
      for (int p = 0; p < kPixels; ++p) {
        const bool read = here[p] && n0 + r < s.samples;
        xs[r][p] = read ? x[(n0 + r) * image + at[p]] : 0.0f;
        if constexpr (kG) gs[r][p] = read ? g[(n0 + r) * image + at[p]] : 0.0f;
      }
#pragma unroll
    for (int r = 0; r < kRound; ++r) {
      double xx = 0, xg = 0;
#pragma unroll
      for (int p = 0; p < kPixels; ++p) {
        const double xv = xs[r][p];
        if constexpr (kMode == Mode::trace)
          xx = fma(xv, first[p], xx);
        else
          xx = fma(xv, xv, xx);
        if constexpr (kG) {
          const double gv = gs[r][p];
          xg = fma(xv, gv, xg);
          if constexpr (kMaps) {
            first[p] += xv;
            second[p] += gv;
          }
        }
      }
      parts[(r * kSums) * kThreads + threadIdx.x] = xx;
      if constexpr (kG) parts[(r * kSums + 1) * kThreads + threadIdx.x] = xg;
    }
    __syncthreads();
    for (int o = static_cast<int>(threadIdx.x); o < kRound * kSums * lanes; o += kThreads) {
      const int row = o >> s.shift, c = o & (lanes - 1);  // row: sample and sum
      double sum = 0;
      for (int k = 0; k < slices; ++k) sum += parts[row * kThreads + k * lanes + c];
      const std::int64_t n = n0 + row / kSums;
      if (n < s.samples && c0 + c < s.channels)
        work[((n * s.pixel_blocks + pixel_block) * kSums + row % kSums) * s.channels + c0 + c] =
            sum;
    }
    __syncthreads();
  }
  if constexpr (kMaps) {
#pragma unroll
    for (int p = 0; p < kPixels; ++p)
      if (here[p]) {
        a[at[p]] = first[p];
        b[at[p]] = second[p];
      }
  }
}

// What one sample with the dots xx = x.x (or the trace's dot), xg = x.g adds to sum number i.
template <Mode kMode>
__device__ __forceinline__ double add_sample(int i, double sum, double xx, double xg) {
  if constexpr (kMode == Mode::trace) return i == 0 ? fma(xx, xx, sum) : fma(xx * xx, xx * xx, sum);
  const double dd = xg * xg;
  switch (i) {
    case 0:
      return sum + xx;
    case 1:
      return sum + xg;
    case 2:
      return sum + dd;
    case 3:
      return fma(xx, xx, sum);
    case 4:
      return fma(dd, xg, sum);
    default:
      return fma(dd, dd, sum);
  }
}

template <Mode kMode>
__global__ void __launch_bounds__(kSumThreads)
    score_accumulate_samples_kernel(Cut s, const double* work, double* stats) {
  constexpr int kSums = kRowsOf<kMode>;
  SENTEI_SHARED(double, dots, [kSumSamples][2][kSumChannels]);
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const std::int64_t channel = std::int64_t{blockIdx.x} * kSumChannels + lane;
  const bool here = channel < s.channels;
  // Warp i holds sum i of the lanes' channels.
  const bool adds = here && (kMode == Mode::trace ? warp < 2
                             : kMode == Mode::x   ? warp == 0 || warp == 3
                                                  : warp < 6);
  double total = adds ? stats[warp * s.channels + channel] : 0;
  for (std::int64_t n0 = 0; n0 < s.samples; n0 += kSumSamples) {
    double xx = 0, xg = 0;
    if (here && n0 + warp < s.samples) {
      const double* slot = work + (n0 + warp) * s.pixel_blocks * kSums * s.channels + channel;
#pragma unroll 4
      for (std::int64_t k = 0; k < s.pixel_blocks; ++k, slot += kSums * s.channels) {
        xx += slot[0];
        if constexpr (kSums == 2) xg += slot[s.channels];
      }
    }
    dots[warp][0][lane] = xx;
    dots[warp][1][lane] = xg;
    __syncthreads();
    const std::int64_t left = s.samples - n0;
    const int count = static_cast<int>(left < kSumSamples ? left : kSumSamples);
    if (adds)
      for (int i = 0; i < count; ++i)
        total = add_sample<kMode>(warp, total, dots[i][0][lane], dots[i][1][lane]);
    __syncthreads();
  }
  if (adds) stats[warp * s.channels + channel] = total;
}

std::int64_t workspace(const ScoreGeometry& s, std::int64_t rows) {
  return s.samples * cut_of(s).pixel_blocks * s.channels * rows * 8;
}

template <Mode kMode>
void run(const char* name, const ScoreGeometry& geometry, const float* x, const float* g, double* a,
         double* b, double* stats, double* work) {
  if (geometry.samples * geometry.pixels * geometry.channels == 0) return;
  const Cut s = cut_of(geometry);
  const auto blocks = static_cast<unsigned>(s.pixel_blocks * s.channel_blocks);
  // Maps are chains over the samples; without them blocks share these, four rounds each at least.
  const std::int64_t shares = kMode == Mode::maps ? 1 : ceil_div(s.samples, 4 * kRound);
  const auto y = static_cast<unsigned>(shares < 65535 ? shares : 65535);
  launch(name, score_accumulate_dots_kernel<kMode>, dim3(blocks, y), kThreads, 0, s, x, g, a, b,
         work);
  launch("score_accumulate_samples_kernel", score_accumulate_samples_kernel<kMode>,
         static_cast<unsigned>(ceil_div(s.channels, kSumChannels)), kSumThreads, 0, s, work, stats);
}

void accumulate(const ScoreGeometry& s, const float* x, const float* g, double* stats,
                double* sum_x, double* sum_g, double* work) {
  const char* name = "score_accumulate_dots_kernel";
  if (!g)
    run<Mode::x>(name, s, x, g, sum_x, sum_g, stats, work);
  else if (!sum_x)
    run<Mode::dots>(name, s, x, g, sum_x, sum_g, stats, work);
  else
    run<Mode::maps>(name, s, x, g, sum_x, sum_g, stats, work);
}

void trace(const ScoreGeometry& s, const float* x, const double* mean_g, double* stats,
           double* work) {
  run<Mode::trace>("trace_accumulate_dots_kernel", s, x, nullptr, const_cast<double*>(mean_g),
                   nullptr, stats, work);
}

}  // namespace
}  // namespace sentei::cuda
SENTEI_CUDA_TABLE(ScoreKernels, score_kernels, workspace, accumulate, trace)
