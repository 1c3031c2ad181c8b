// y = max over 2 x 2 windows of relu(batch_norm(x)). The rectified map is never written: 4 + 5.25
// bytes per element of x forward. Backward: one pass reads x, dy and the winners and sums g and
// g (x - mean) over winners, one writes dx: 5.25 + 9.25 bytes. With ReLU, g = dy where the winner's
// value, evaluated again to the same bits, is above 0. A last odd row or column is in no window.
#include "kernels/batch_norm_pool.hpp"

#include "cpu/batch_norm_passes.hpp"
#include "cpu/pool2d_loops.hpp"
#include "cpu/pool_index.hpp"

namespace sentei::cpu::SENTEI_ISA {

using namespace sentei::kernels;
namespace {

// Channels are never widened here: a window's pixels lie apart.
struct Plain {
  View view;  // one row per pixel
  std::int64_t P, Q, windows;
};
Plain plain_of(const PoolImage& g) {
  return {{g.N * g.H * g.W, g.C, 0, 1}, g.H / 2, g.W / 2, g.N * (g.H / 2) * (g.W / 2)};
}

std::size_t workspace(const PoolImage& g) {
  if (g.C == 0) return 0;
  const View v = plain_of(g).view;
  const std::size_t plain =
      static_cast<std::size_t>(slot_doubles(v)) * sizeof(double) +
      static_cast<std::size_t>(kCoefficients * padded(v.width)) * sizeof(float);
  const std::size_t wide = workspace_bytes(v.rows, g.C);
  return wide > plain ? wide : plain;
}

template <bool Relu>
void pool(const PoolImage& g, const Plain& s, const float* x, const float* mean, const float* a,
          const float* beta, float* y, std::uint8_t* index) {
  over_rows(g.N * s.P, 4 * s.Q * g.C, [=](std::int64_t row) {
    const float* top = x + (row / s.P * g.H + row % s.P * 2) * g.W * g.C;
    const float* low = top + g.W * g.C;
    for (std::int64_t q = 0; q < s.Q; ++q) {
      const std::int64_t at = 2 * q * g.C, out = (row * s.Q + q) * g.C;
      over_channels(g.C, [&](std::int64_t c, auto tag) {
        const vf m = ld(mean + c, tag), scale = ld(a + c, tag), shift = ld(beta + c, tag);
        const auto value = [&](const float* p) {
          const vf u = affine(ld(p + c, tag), m, scale, shift);
          return Relu ? relu_of(u) : u;
        };
        const Best best = best_of_four(value(top + at), value(top + at + g.C), value(low + at),
                                       value(low + at + g.C));
        st(y + out + c, best.value, tag);
        store_index(index + out + c, best.index, tag);
      });
    }
  });
}

void forward(const PoolImage& g, const float* x, const float* gamma, const float* beta,
             float* running_mean, float* running_var, float* y, std::uint8_t* index, float* mean,
             float* rstd, std::byte* workspace, double eps, double momentum, bool relu,
             const float* given_mean, const float* given_var) {
  const std::int64_t rows = g.N * g.H * g.W;
  {
    const View v = view_of(rows, g.C);
    batch_statistics(v, Scratch(v, workspace), x, gamma, beta, running_mean, running_var, mean,
                     rstd, eps, momentum, rows, given_mean, given_var);
  }
  const Plain s = plain_of(g);
  const Scratch w(s.view, workspace);
  set_affine(s.view, w, mean, gamma, rstd, beta);
  (relu ? pool<true> : pool<false>)(g, s, x, w.wide[0], w.wide[1], w.wide[2], y, index);
}

// The sums of one block of windows [from, to) over NV vectors of channels.
template <bool Relu, int NV, class Tag>
SENTEI_INLINE void sum_windows(const PoolImage& g, const Plain& s, const float* dy,
                               const std::uint8_t* index, const float* x, const float* mean,
                               const float* a, const float* beta, std::int64_t from,
                               std::int64_t to, std::int64_t c, Tag tag, double* S, double* Q) {
  vf sum[NV] = {}, q[NV] = {};
  const float* tap[4] = {};
  std::int64_t row = from / s.Q, col = from % s.Q;
  for (std::int64_t i = from; i < to; ++i) {
    if (i == from || col == s.Q) {
      if (col == s.Q) col = 0, ++row;
      tap[0] = x + ((row / s.P * g.H + row % s.P * 2) * g.W + 2 * col) * g.C + c;
      tap[1] = tap[0] + g.C;
      tap[2] = tap[0] + g.W * g.C;
      tap[3] = tap[2] + g.C;
    }
#pragma GCC unroll 4
    for (int j = 0; j < NV; ++j) {
      const std::int64_t at = i * g.C + c + j * kLanes;
      if (j * kLanes % kLine == 0) {  // a row of windows ahead
        for (int t = 0; t < 4; ++t) prefetch(tap[t] + j * kLanes, 2 * g.W * g.C);
        prefetch(dy + at, s.Q * g.C);
      }
      const vi winner = load_index(index + at, tag);
      vf u = ld(tap[0] + j * kLanes, tag);
      for (int t = 1; t < 4; ++t) u = winner == t ? ld(tap[t] + j * kLanes, tag) : u;
      vf d = ld(dy + at, tag);
      const vf m = ld(mean + c + j * kLanes, tag);
      if (Relu)
        d = where_positive(
            affine(u, m, ld(a + c + j * kLanes, tag), ld(beta + c + j * kLanes, tag)), d);
      sum[j] += d;
      q[j] = fma(d, u - m, q[j]);
    }
    for (const float*& t : tap) t += 2 * g.C;
    ++col;
  }
#pragma GCC unroll 4
  for (int j = 0; j < NV; ++j) {
    add_to(S + c + j * kLanes, sum[j]);
    add_to(Q + c + j * kLanes, q[j]);
  }
}

struct Affine {  // wide
  const float *mean, *a, *beta, *slope, *offset;
};

// dx = a g + slope (x - mean) + offset.
template <bool Relu, class Whole>
void spread(const PoolImage& g, const Plain& s, const float* dy, const std::uint8_t* index,
            const float* x, const Affine& k, float* dx) {
  const float *m = k.mean, *a = k.a, *b = k.beta, *B = k.slope, *D = k.offset;
  const std::int64_t pairs = ceil_div(g.H, 2);
  over_rows(g.N * pairs, 2 * g.W * g.C, [=](std::int64_t pair) {
    const std::int64_t n = pair / pairs, p = pair % pairs;
    const std::int64_t base = (n * g.H + 2 * p) * g.W * g.C, below = g.W * g.C;
    const bool whole = p < s.P;
    if (whole)
      for (std::int64_t q = 0; q < s.Q; ++q) {
        const std::int64_t at = base + 2 * q * g.C, in = ((n * s.P + p) * s.Q + q) * g.C;
        over_channels<Whole>(g.C, [&](std::int64_t c, auto tag) {
          const vf centre = ld(m + c, tag), scale = ld(a + c, tag);
          const vf slope = ld(B + c, tag), offset = ld(D + c, tag);
          const vf d = ld(dy + in + c, tag);
          const vi winner = load_index(index + in + c, tag);
          const auto put = [&](std::int64_t place, int t) {
            const vf u = ld(x + place + c, tag);
            vf e = winner == t ? d : vf{};
            if (Relu) e = where_positive(affine(u, centre, scale, ld(b + c, tag)), e);
            st(dx + place + c, fma(e, scale, fma(u - centre, slope, offset)), tag);
          };
          put(at, 0);
          put(at + g.C, 1);
          put(at + below, 2);
          put(at + below + g.C, 3);
        });
      }
    for (std::int64_t h = 2 * p; h < imin(2 * p + 2, g.H); ++h)
      for (std::int64_t col = whole ? 2 * s.Q : 0; col < g.W; ++col) {
        const std::int64_t at = ((n * g.H + h) * g.W + col) * g.C;
        over_channels<Whole>(g.C, [&](std::int64_t c, auto tag) {
          st(dx + at + c, fma(ld(x + at + c, tag) - ld(m + c, tag), ld(B + c, tag), ld(D + c, tag)),
             tag);
        });
      }
  });
}

template <bool Relu>
void backward_as(const PoolImage& g, const float* dy, const std::uint8_t* index, const float* x,
                 const float* gamma, const float* mean, const float* rstd, const float* beta,
                 float* dx, float* dgamma, float* dbeta, std::byte* workspace) {
  const Plain s = plain_of(g);
  const Scratch w(s.view, workspace);
  set_affine(s.view, w, mean, gamma, rstd, Relu ? beta : nullptr);
  const float *m = w.wide[0], *a = w.wide[1], *b = w.wide[2];
  const std::int64_t slots = reduce_slots(s.view), wide = padded(g.C);
  parallel_for(slots, [&](std::int64_t slot) {
    double *S = w.slots + slot * 2 * wide, *Q = S + wide;
    for (std::int64_t j = 0; j < 2 * wide; ++j) S[j] = 0;
    const Range part = even_part(s.windows, slots, slot);
    for (std::int64_t from = part.begin; from < part.end; from += kBlockRows) {
      const std::int64_t to = imin(part.end, from + kBlockRows);
      std::int64_t c = 0;
      for (; c + kGroup * kLanes <= g.C; c += kGroup * kLanes)
        sum_windows<Relu, kGroup>(g, s, dy, index, x, m, a, b, from, to, c, Full{}, S, Q);
      for (; c + 2 * kLanes <= g.C; c += 2 * kLanes)
        sum_windows<Relu, 2>(g, s, dy, index, x, m, a, b, from, to, c, Full{}, S, Q);
      for (; c + kLanes <= g.C; c += kLanes)
        sum_windows<Relu, 1>(g, s, dy, index, x, m, a, b, from, to, c, Full{}, S, Q);
      if (c < g.C)
        sum_windows<Relu, 1>(g, s, dy, index, x, m, a, b, from, to, c,
                             Part{static_cast<int>(g.C - c)}, S, Q);
    }
  });
  for (std::int64_t slot = 1; slot < slots; ++slot)
    for (std::int64_t j = 0; j < 2 * wide; ++j) w.slots[j] += w.slots[slot * 2 * wide + j];
  gradient_coefficients(s.view, w, rstd, g.N * g.H * g.W, dgamma, dbeta);
  const float *B = w.wide[3], *D = w.wide[4];
  const Affine k = {m, a, b, B, D};
  if (stores_past(dx, g.C, g.N * g.H * g.W * g.C))
    spread<Relu, Past>(g, s, dy, index, x, k, dx);
  else
    spread<Relu, Full>(g, s, dy, index, x, k, dx);
}

void backward(const PoolImage& g, const float* dy, const std::uint8_t* index, const float* x,
              const float* gamma, const float* mean, const float* rstd, const float* beta,
              float* dx, float* dgamma, float* dbeta, std::byte* workspace, bool relu) {
  (relu ? backward_as<true> : backward_as<false>)(g, dy, index, x, gamma, mean, rstd, beta, dx,
                                                  dgamma, dbeta, workspace);
}

}  // namespace

extern const BatchNormPoolKernels batch_norm_pool_kernels;
const BatchNormPoolKernels batch_norm_pool_kernels = {workspace, forward, backward};

}  // namespace sentei::cpu::SENTEI_ISA
