// What pooling kernels share: 32-bit indices taken apart without divisions, and the launch of a
// thread per vector of an image tensor.
#pragma once
#include "core/check.hpp"
#include "cuda/device/vectors.cuh"
#include "kernels/pool2d.hpp"

namespace sentei::cuda {

// n / d for n < 2^31 by a product and a shift (Granlund and Montgomery 1994).
struct Divisor {
  std::uint32_t d, magic, shift;

  explicit constexpr Divisor(std::int64_t by)
      : d(static_cast<std::uint32_t>(by)), magic(0), shift(0) {
    while ((std::uint64_t{1} << shift) < d) ++shift;
    magic = static_cast<std::uint32_t>(
        (std::uint64_t{1} << 32) * ((std::uint64_t{1} << shift) - d) / d + 1);
  }
  __host__ __device__ constexpr std::uint32_t quotient(std::uint32_t n) const {
    return (static_cast<std::uint32_t>((std::uint64_t{n} * magic) >> 32) + n) >> shift;
  }
  // n becomes the remainder.
  __host__ __device__ constexpr std::uint32_t split(std::uint32_t& n) const {
    const std::uint32_t q = quotient(n);
    n -= q * d;
    return q;
  }
};

constexpr bool divides(std::uint32_t n, std::uint32_t d) {
  return Divisor(d).quotient(n) == n / d && Divisor(d).quotient(n - 1) == (n - 1) / d;
}
static_assert(divides(0x7fffffff, 1) && divides(0x7fffffff, 7) && divides(0x7ffffff0, 16) &&
              divides(0x7ffffffe, 0x7ffffffe) && divides(641 * 3, 641) && divides(1 << 30, 37));

// Vector i of (N, h, w, C): image n, pixel (h, w), channel c.
struct Pixel {
  std::uint32_t n;
  int h, w;
  std::int64_t c;
};
struct Pixels {
  Divisor height, width, vectors;
  int V;

  Pixels(std::int64_t h, std::int64_t w, std::int64_t C, int v)
      : height(h), width(w), vectors(C / v), V(v) {}
  __device__ __forceinline__ Pixel at(std::uint32_t i) const {
    std::uint32_t pixel = vectors.split(i);
    std::uint32_t row = width.split(pixel);
    const std::uint32_t n = height.split(row);
    return {n, static_cast<int>(row), static_cast<int>(pixel), std::int64_t{i} * V};
  }
};

// The geometry as kernels read it; images of a launch start at the pointers given.
struct Pool {
  std::int64_t C;
  int H, W, P, Q, kh, kw, sh, sw, ph, pw;
  Divisor by_sh, by_sw, by_kw;

  explicit Pool(const kernels::Pool2d& g)
      : C(g.C),
        H(static_cast<int>(g.H)),
        W(static_cast<int>(g.W)),
        P(static_cast<int>(g.P)),
        Q(static_cast<int>(g.Q)),
        kh(static_cast<int>(g.kh)),
        kw(static_cast<int>(g.kw)),
        sh(static_cast<int>(g.sh)),
        sw(static_cast<int>(g.sw)),
        ph(static_cast<int>(g.ph)),
        pw(static_cast<int>(g.pw)),
        by_sh(g.sh),
        by_sw(g.sw),
        by_kw(g.kw) {}

  __device__ __forceinline__ std::int64_t in(std::uint32_t n, int h, int w) const {
    return ((std::int64_t{n} * H + h) * W + w) * C;
  }
  __device__ __forceinline__ std::int64_t out(std::uint32_t n, int p, int q) const {
    return ((std::int64_t{n} * P + p) * Q + q) * C;
  }
};

// Windows [begin, end) over position i of the image.
struct Cover {
  int begin, end;
};
__device__ __forceinline__ Cover cover(int i, const Divisor& stride, int padding, int kernel,
                                       int windows) {
  const int at = i + padding, last = static_cast<int>(stride.quotient(at)) + 1;
  return {at < kernel ? 0 : static_cast<int>(stride.quotient(at - kernel)) + 1,
          last < windows ? last : windows};
}

constexpr int kPoolThreads = 256;
constexpr std::int64_t kMostVectors = std::int64_t{1} << 30;  // a Divisor's range, with room

// go(first image, vectors) for runs of whole images whose vectors a thread each can have. There is
// at least one: ops on empty tensors alone run on the CPU (device_of).
template <class F>
void for_images(const char* op, std::int64_t N, std::int64_t vectors, const F& go) {
  SENTEI_CHECK(ValueError, vectors <= kMostVectors, op, ": an image must have at most ",
               kMostVectors, " vectors of channels on cuda, got ", vectors);
  const std::int64_t most = kMostVectors / vectors;
  for (std::int64_t n = 0; n < N; n += most)
    go(n, static_cast<std::uint32_t>((N - n < most ? N - n : most) * vectors));
}

}  // namespace sentei::cuda
