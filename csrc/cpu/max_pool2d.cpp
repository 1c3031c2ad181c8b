// Max pooling, vectors along C. index = r * kw + s of the winner: the first of equals, the first
// NaN if there is one; taps in the padding are skipped, so they never win. Backward gathers: every
// dx element is written once, its windows added in row-major order. 4 (x) + 1.25 (y, index) bytes
// per input element at 2x2 forward, as many backward.
#include "kernels/max_pool2d.hpp"

#include "core/parallel.hpp"
#include "cpu/pool2d_loops.hpp"
#include "cpu/pool_index.hpp"

namespace sentei::cpu::SENTEI_ISA {

using namespace sentei::kernels;
namespace {

SENTEI_INLINE void forward_pixel(const Pool2d& g, const float* x, Window h, Window w, float* y,
                                 std::uint8_t* index) {
  over_channels(g.C, [&](std::int64_t c, auto tag) {
    Best best{};
    for (std::int64_t r = h.begin; r < h.end; ++r)
      for (std::int64_t s = w.begin; s < w.end; ++s) {
        const vf v = ld(x + ((h.start + r) * g.W + w.start + s) * g.C + c, tag);
        const int tap = static_cast<int>(r * g.kw + s);
        if (r == h.begin && s == w.begin)
          best = {v, vi{} + tap};
        else
          challenge(best, v, tap);
      }
    st(y + c, best.value, tag);
    store_index(index + c, best.index, tag);
  });
}

bool two_by_two(const Pool2d& g) {
  return g.kh == 2 && g.kw == 2 && g.sh == 2 && g.sw == 2 && g.ph == 0 && g.pw == 0;
}

void forward(const Pool2d& g, const float* x, float* y, std::uint8_t* index) {
  const bool fast = two_by_two(g);
  over_rows(g.N * g.P, g.Q * g.C * g.kh * g.kw, [=](std::int64_t row) {
    const std::int64_t n = row / g.P, p = row % g.P;
    const float* image = x + n * g.H * g.W * g.C;
    float* out = y + row * g.Q * g.C;
    std::uint8_t* winner = index + row * g.Q * g.C;
    const Window h = window(p, g.sh, g.ph, g.kh, g.H);
    std::int64_t q = 0;
    if (fast && h.end == 2)
      for (; q < g.W / 2; ++q) {
        const float* a = image + (2 * p * g.W + 2 * q) * g.C;
        const float* b = a + g.W * g.C;
        float* o = out + q * g.C;
        std::uint8_t* k = winner + q * g.C;
        over_channels(g.C, [&](std::int64_t c, auto tag) {
          const Best best = best_of_four(ld(a + c, tag), ld(a + g.C + c, tag), ld(b + c, tag),
                                         ld(b + g.C + c, tag));
          st(o + c, best.value, tag);
          store_index(k + c, best.index, tag);
        });
      }
    for (; q < g.Q; ++q)
      forward_pixel(g, image, h, window(q, g.sw, g.pw, g.kw, g.W), out + q * g.C, winner + q * g.C);
  });
}

// A window over the pixel: where its dy is, and which of its taps the pixel is.
struct Visit {
  std::int64_t at;
  int tap;
};

// n windows, or `many` when n is 0: small counts are unrolled, with the order of the sum the same.
template <int n>
SENTEI_INLINE void gather(std::int64_t C, const Visit* visits, int many, const float* dy,
                          const std::uint8_t* index, float* dx) {
  over_channels(C, [&](std::int64_t c, auto tag) {
    vf sum{};
#pragma GCC unroll 4
    for (int k = 0; k < (n ? n : many); ++k) {
      const std::int64_t at = visits[k].at + c;
      sum += load_index(index + at, tag) == visits[k].tap ? ld(dy + at, tag) : vf{};
    }
    st(dx + c, sum, tag);
  });
}

void backward_row(const Pool2d& g, const float* dy, const std::uint8_t* index, std::int64_t h,
                  std::int64_t from, float* dx) {
  if (from == g.W) return;
  const Cover p = cover(h, g.sh, g.ph, g.kh, g.P);
  Cover q = cover(from, g.sw, g.pw, g.kw, g.Q);
  for (std::int64_t w = from; w < g.W; ++w, advance(q, w - 1, g.sw, g.pw, g.kw, g.Q)) {
    Visit visits[256];  // a kernel covers at most 255 elements, and as many windows an element
    int n = 0;
    for (std::int64_t i = p.begin; i < p.end; ++i)
      for (std::int64_t j = q.begin; j < q.end; ++j)
        visits[n++] = {(i * g.Q + j) * g.C,
                       static_cast<int>((h + g.ph - i * g.sh) * g.kw + w + g.pw - j * g.sw)};
    float* out = dx + (h * g.W + w) * g.C;
    switch (n) {
      case 1:
        gather<1>(g.C, visits, n, dy, index, out);
        break;
      case 2:
        gather<2>(g.C, visits, n, dy, index, out);
        break;
      case 4:
        gather<4>(g.C, visits, n, dy, index, out);
        break;
      default:
        gather<0>(g.C, visits, n, dy, index, out);
    }
  }
}

void backward_any(const Pool2d& g, const float* dy, const std::uint8_t* index, float* dx) {
  over_rows(g.N * g.H, g.W * g.C, [=](std::int64_t row) {
    const std::int64_t n = row / g.H, at = n * g.P * g.Q * g.C;
    backward_row(g, dy + at, index + at, row % g.H, 0, dx + n * g.H * g.W * g.C);
  });
}

void backward_two_by_two(const Pool2d& g, const float* dy, const std::uint8_t* index, float* dx) {
  const std::int64_t pairs = ceil_div(g.H, 2);
  over_rows(g.N * pairs, 2 * g.W * g.C, [=](std::int64_t row) {
    const std::int64_t n = row / pairs, p = row % pairs, at = n * g.P * g.Q * g.C;
    float* image = dx + n * g.H * g.W * g.C;
    std::int64_t q = 0;
    if (2 * p + 1 < g.H)
      for (; q < g.W / 2; ++q) {
        const float* d = dy + at + (p * g.Q + q) * g.C;
        const std::uint8_t* k = index + at + (p * g.Q + q) * g.C;
        float* a = image + (2 * p * g.W + 2 * q) * g.C;
        float* b = a + g.W * g.C;
        over_channels(g.C, [&](std::int64_t c, auto tag) {
          const vf v = ld(d + c, tag);
          const vi tap = load_index(k + c, tag);
          st(a + c, tap == 0 ? v : vf{}, tag);
          st(a + g.C + c, tap == 1 ? v : vf{}, tag);
          st(b + c, tap == 2 ? v : vf{}, tag);
          st(b + g.C + c, tap == 3 ? v : vf{}, tag);
        });
      }
    for (std::int64_t h = 2 * p; h < imin(2 * p + 2, g.H); ++h)
      backward_row(g, dy + at, index + at, h, 2 * q, image);
  });
}

void backward(const Pool2d& g, const float* dy, const std::uint8_t* index, float* dx) {
  (two_by_two(g) ? backward_two_by_two : backward_any)(g, dy, index, dx);
}

}  // namespace

extern const MaxPool2dKernels max_pool2d_kernels;
const MaxPool2dKernels max_pool2d_kernels = {forward, backward};

}  // namespace sentei::cpu::SENTEI_ISA
