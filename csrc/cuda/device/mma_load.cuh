// How the operands of tensor-core products reach shared memory: 16 bytes per thread and copy,
// neighbouring threads on neighbouring chunks. Chunks outside the operand are filled with zeros.
#pragma once
#include "cuda/device/mma_tile.cuh"

namespace sentei::cuda {

// Channels as they lie in memory, and as the products count them: in whole chunks. Rows that are
// not made of whole, aligned chunks (only float32 ones: bfloat16 copies are padded) go by words.
struct MmaChannels {
  int count, padded;
  bool wide;
};

template <class Num>
__device__ __forceinline__ void copy_chunk(char* to, const typename Num::T* base,
                                           std::int64_t offset, int elements, bool wide) {
  const typename Num::T* const from = elements > 0 ? base + offset : base;
  if constexpr (Num::kVec == 8) {
    cp_async<16>(to, from, elements > 0 ? 16 : 0);
  } else if (wide) {
    cp_async<16>(to, from, elements > 0 ? 16 : 0);
  } else {
#pragma unroll
    for (int j = 0; j < 4; ++j)
      cp_async<4>(to + 4 * j, from + (j < elements ? j : 0), j < elements ? 4 : 0);
  }
}

// Elements of the chunk that begins at channel c.
template <class Num>
__device__ __forceinline__ int in_chunk(const MmaChannels& channels, int c) {
  return min(Num::kVec, channels.count - c);
}

// a / b with the rest in r; the wide division only where it is needed.
__device__ __forceinline__ std::int64_t divided(std::int64_t a, int b, int& r) {
  if (a < (std::int64_t{1} << 32)) {
    const auto low = static_cast<std::uint32_t>(a), d = static_cast<std::uint32_t>(b);
    r = static_cast<int>(low % d);
    return low / d;
  }
  r = static_cast<int>(a % b);
  return a / b;
}

// A number with the digits u, v < V, w < W: steps of a fixed size need no division.
template <class U>
struct MmaDigits {
  U u;
  int v, w;
  __device__ __forceinline__ MmaDigits(std::int64_t number, int V, int W) {
    u = static_cast<U>(divided(divided(number, W, w), V, v));
  }
  __device__ __forceinline__ void add(U step_u, int step_v, int step_w, int V, int W) {
    w += step_w;
    const bool carry_w = w >= W;
    w -= carry_w ? W : 0;
    v += step_v + carry_w;
    const bool carry_v = v >= V;
    v -= carry_v ? V : 0;
    u += step_u + carry_v;
  }
  __device__ __forceinline__ void add(const MmaDigits& step, int V, int W) {
    add(step.u, step.v, step.w, V, W);
  }
};

// A grid of results and the taps that each of them sums over: result (p, q) and tap (u, v) meet at
// pixel (base_h + step_h p + delta_h u, base_w + step_w q + delta_w v), w's tap number being
// tap + tap_u u + tap_v v. The forward pass is one grid; the input gradient one per parity class.
struct MmaGrid {
  int R, S, base_h, base_w, P, Q;
  int out_h, out_w;  // where result (0, 0) lies
  int tap, tap_u, tap_v;
  int step_u, step_v, step_c;  // a stage's depth as (tap row, tap column, channel)
};

constexpr int kMmaGrids = 4;  // in one launch

struct MmaSumParams {
  const void *x, *w;  // what is gathered (N, H, W, channels), and the filters
  std::int64_t N;
  int H, W;
  MmaChannels channels;  // of x: the depth of the product, with the taps
  MmaChannels columns;   // of the results, as w has them
  int taps, filters;     // of w
  int step_h, step_w, delta_h, delta_w;
  MmaGrid grids[kMmaGrids];
  int slots;  // parts of the depth, each with sums of its own
  // Results (N, out_H, out_W, K): y itself, or slot after slot.
  float* y;
  const float* bias;
  int out_H, out_W, out_step_h, out_step_w, K;
  std::int64_t slot_stride;
  bool relu, pairs;  // pairs: two results may be stored at once
  float* moments;    // (tiles of m, 3, K), where these are wanted
};

// Pixels of x along m: each thread has one column of chunks, walking through (tap, channel), and
// the same few rows all the time.
template <class Num, class Tile>
class MmaPixels {
 public:
  static constexpr int kRows = Tile::kM * 8 / Tile::kThreads, kStride = Tile::kThreads / 8;

  __device__ __forceinline__ MmaPixels(const MmaSumParams& p, const MmaGrid& g, std::int64_t m0,
                                       std::int64_t first)
      : p_(p), g_(g), at_(first + threadIdx.x % 8 * Num::kVec, g.S, p.channels.padded) {
    const std::int64_t pixels = p.N * g.P * g.Q;
    const std::int64_t image = MmaDigits<std::int64_t>(m0, g.P, g.Q).u;
    first_ = static_cast<const typename Num::T*>(p.x) + image * p.H * p.W * p.channels.count;
#pragma unroll
    for (int i = 0; i < kRows; ++i) {
      const std::int64_t m = m0 + threadIdx.x / 8 + i * kStride;
      const MmaDigits<std::int64_t> at(m, g.P, g.Q);
      y_[i] = g.base_h + at.v * p.step_h;
      x_[i] = g.base_w + at.w * p.step_w;
      pixel_[i] = (static_cast<int>(at.u - image) * p.H + y_[i]) * p.W + x_[i];
      // No tap leads from here into the image.
      if (m >= pixels) y_[i] = p.delta_h < 0 ? -1 : static_cast<int>(0x80000000u);
    }
  }

  __device__ __forceinline__ void load(char* tile) {
    const int row = threadIdx.x / 8;
    const int dy = at_.u * p_.delta_h, dx = at_.v * p_.delta_w;
    const int further = dy * p_.W + dx;
    const int elements = at_.u < g_.R ? in_chunk<Num>(p_.channels, at_.w) : 0;
    char* const to = tile + chunk_along_k(row, threadIdx.x % 8);
#pragma unroll
    for (int i = 0; i < kRows; ++i) {
      const bool in =
          static_cast<unsigned>(y_[i]) + static_cast<unsigned>(dy) < static_cast<unsigned>(p_.H) &&
          static_cast<unsigned>(x_[i]) + static_cast<unsigned>(dx) < static_cast<unsigned>(p_.W);
      copy_chunk<Num>(to + i * kStride * kRowBytes, first_,
                      std::int64_t{pixel_[i] + further} * p_.channels.count + at_.w,
                      in ? elements : 0, p_.channels.wide);
    }
  }

  __device__ __forceinline__ const MmaDigits<int>& at() const { return at_; }
  __device__ __forceinline__ void advance() {
    at_.add(g_.step_u, g_.step_v, g_.step_c, g_.S, p_.channels.padded);
  }

 private:
  const MmaSumParams& p_;
  const MmaGrid& g_;
  MmaDigits<int> at_;                       // (tap row, tap column, channel)
  const typename Num::T* first_;            // the image of the block's first pixel
  int pixel_[kRows], y_[kRows], x_[kRows];  // at tap (0, 0); pixels counted from there
};

// y = x * w: filters (K, taps, C) lie with the depth contiguous, as x does.
template <class Num, class Tile>
class MmaForward {
 public:
  using Params = MmaSumParams;
  static constexpr bool kAAlongK = true, kBAlongK = true;

  __device__ __forceinline__ MmaForward(const Params& p, const MmaGrid& g, std::int64_t m0, int n0,
                                        std::int64_t first)
      : p_(p), g_(g), pixels_(p, g, m0, first), n_(n0 + threadIdx.x / 8) {}

  __device__ __forceinline__ void load(char* stage) {
    pixels_.load(stage);
    constexpr int rows = Tile::kN * 8 / Tile::kThreads, stride = Tile::kThreads / 8;
    const MmaDigits<int>& at = pixels_.at();
    const int elements = at.u < g_.R ? in_chunk<Num>(p_.channels, at.w) : 0;
    const int filter = p_.taps * p_.channels.count;
    const std::int64_t offset = std::int64_t{n_} * filter +
                                (g_.tap + at.u * g_.tap_u + at.v * g_.tap_v) * p_.channels.count +
                                at.w;
    char* const to = stage + Tile::kM * kRowBytes + chunk_along_k(threadIdx.x / 8, threadIdx.x % 8);
#pragma unroll
    for (int i = 0; i < rows; ++i)
      copy_chunk<Num>(to + i * stride * kRowBytes, static_cast<const typename Num::T*>(p_.w),
                      offset + std::int64_t{i * stride} * filter,
                      n_ + i * stride < p_.columns.count ? elements : 0, p_.channels.wide);
    pixels_.advance();
  }

 private:
  const Params& p_;
  const MmaGrid& g_;
  MmaPixels<Num, Tile> pixels_;
  int n_;
};

// dx = dy * turned w: x is dy here, and the filters (K, taps, C) lie with the results contiguous.
// A thread has one column of chunks of them and walks through (tap, filter) row by row.
template <class Num, class Tile>
class MmaBackwardInput {
 public:
  using Params = MmaSumParams;
  static constexpr bool kAAlongK = true, kBAlongK = false;
  static constexpr int kChunks = Tile::kN / Num::kVec, kStride = Tile::kThreads / kChunks;

  __device__ __forceinline__ MmaBackwardInput(const Params& p, const MmaGrid& g, std::int64_t m0,
                                              int n0, std::int64_t first)
      : p_(p),
        g_(g),
        pixels_(p, g, m0, first),
        at_(first + threadIdx.x / kChunks, g.S, p.channels.padded),
        step_(kStride, g.S, p.channels.padded),
        n_(n0 + threadIdx.x % kChunks * Num::kVec) {}

  __device__ __forceinline__ void load(char* stage) {
    pixels_.load(stage);
    pixels_.advance();
    constexpr int rows = Num::kDepth / kStride, row_bytes = kChunks * 16;
    char* const to = stage + Tile::kM * kRowBytes +
                     chunk_across_k<Num, Tile::kN>(threadIdx.x / kChunks, threadIdx.x % kChunks);
    const int elements = in_chunk<Num>(p_.columns, n_);
#pragma unroll
    for (int i = 0; i < rows; ++i) {
      const int tap = g_.tap + at_.u * g_.tap_u + at_.v * g_.tap_v;
      const bool in = at_.u < g_.R && at_.w < p_.filters;
      copy_chunk<Num>(to + i * kStride * row_bytes, static_cast<const typename Num::T*>(p_.w),
                      (std::int64_t{at_.w} * p_.taps + tap) * p_.columns.count + n_,
                      in ? elements : 0, p_.columns.wide);
      at_.add(step_, g_.S, p_.channels.padded);
    }
  }

 private:
  const Params& p_;
  const MmaGrid& g_;
  MmaPixels<Num, Tile> pixels_;
  MmaDigits<int> at_, step_;  // (tap row, tap column, filter)
  int n_;
};

// Only the rows of an active group, known to the device alone; all rows where offsets is null.
struct MmaRowLimit {
  const std::int32_t *offsets, *group;
  std::int64_t groups;
  // Of `most` rows that there is room for; none for a group that does not exist.
  __device__ __forceinline__ std::int64_t rows(std::int64_t most) const {
    if (!offsets) return most;
    const std::int32_t g = *group;
    if (g < 0 || g >= groups) return 0;
    const std::int64_t count = std::int64_t{offsets[g + 1]} - offsets[g];
    return count < 0 ? 0 : count < most ? count : most;
  }
};

struct MmaWeightParams {
  const void *dy, *x;
  std::int64_t N;
  int P, Q, H, W, S;  // S: columns of taps
  MmaChannels filters, channels;
  int taps, stride_h, stride_w, padding_h, padding_w, dilation_h, dilation_w;
  int slots;
  // Results (K, taps, C): dw itself, or slot after slot.
  float* dw;
  int K, C;
  MmaRowLimit limit;
  std::int64_t slot_stride;
  bool pairs;
};

// dw = sum over pixels of dy x: both lie with the results contiguous. A thread has one column of
// chunks of each, of x that of one tap, and walks through the pixels.
template <class Num, class Tile>
class MmaBackwardWeight {
 public:
  using Params = MmaWeightParams;
  static constexpr bool kAAlongK = false, kBAlongK = false;
  static constexpr int kChunksA = Tile::kM / Num::kVec, kStrideA = Tile::kThreads / kChunksA;
  static constexpr int kChunksB = Tile::kN / Num::kVec, kStrideB = Tile::kThreads / kChunksB;

  __device__ __forceinline__ MmaBackwardWeight(const Params& p, std::int64_t m0, int n0,
                                               std::int64_t first)
      : p_(p),
        left_(p.N * p.P * p.Q - first - threadIdx.x / kChunksA),
        at_(first + threadIdx.x / kChunksB, p.P, p.Q),
        step_(kStrideB, p.P, p.Q) {
    const int m = static_cast<int>(m0) + threadIdx.x % kChunksA * Num::kVec;
    elements_a_ = in_chunk<Num>(p.filters, m);
    a_ = (first + threadIdx.x / kChunksA) * p.filters.count + m;
    const int n = n0 + threadIdx.x % kChunksB * Num::kVec;
    const int tap = n / p.channels.padded, c = n % p.channels.padded;
    h_ = tap / p.S * p.dilation_h - p.padding_h;
    w_ = tap % p.S * p.dilation_w - p.padding_w;
    elements_b_ = tap < p.taps ? in_chunk<Num>(p.channels, c) : 0;
    c_ = c;
  }

  __device__ __forceinline__ void load(char* stage) {
    using T = typename Num::T;
    constexpr int rows_a = Num::kDepth / kStrideA, rows_b = Num::kDepth / kStrideB;
    char* const a =
        stage + chunk_across_k<Num, Tile::kM>(threadIdx.x / kChunksA, threadIdx.x % kChunksA);
#pragma unroll
    for (int i = 0; i < rows_a; ++i) {
      copy_chunk<Num>(a + i * kStrideA * kChunksA * 16, static_cast<const T*>(p_.dy), a_,
                      left_ > 0 ? elements_a_ : 0, p_.filters.wide);
      a_ += std::int64_t{kStrideA} * p_.filters.count;
      left_ -= kStrideA;
    }
    char* const b = stage + Tile::kM * kRowBytes +
                    chunk_across_k<Num, Tile::kN>(threadIdx.x / kChunksB, threadIdx.x % kChunksB);
#pragma unroll
    for (int i = 0; i < rows_b; ++i) {
      const int y = at_.v * p_.stride_h + h_, x = at_.w * p_.stride_w + w_;
      const bool in = at_.u < p_.N && static_cast<unsigned>(y) < static_cast<unsigned>(p_.H) &&
                      static_cast<unsigned>(x) < static_cast<unsigned>(p_.W);
      copy_chunk<Num>(b + i * kStrideB * kChunksB * 16, static_cast<const T*>(p_.x),
                      ((at_.u * p_.H + y) * p_.W + x) * p_.channels.count + c_,
                      in ? elements_b_ : 0, p_.channels.wide);
      at_.add(step_, p_.P, p_.Q);
    }
  }

 private:
  const Params& p_;
  std::int64_t left_, a_;
  MmaDigits<std::int64_t> at_, step_;  // (image, row, column) of dy
  int elements_a_, elements_b_, h_, w_, c_;
};

}  // namespace sentei::cuda
