// y = relu(batch_norm(x) + batch_norm(z)). Forward: the statistics of x and of z, then one pass
// over both: 8 + 12 bytes per element. Backward: the forward expression, evaluated again to the
// same bits, masks dy, so y is not read; one pass sums g, g (x - mean) and g (z - mean), one writes
// both gradients: 12 + 20 bytes.
#include "kernels/batch_norm_join.hpp"

#include "cpu/batch_norm_passes.hpp"

namespace sentei::cpu::SENTEI_ISA {

using namespace sentei::kernels;
namespace {

constexpr int kSums = 3;

// The slots of the sums of the gradient, then the scratch of each branch.
std::size_t sums_bytes(const View& v) {
  return static_cast<std::size_t>(slot_doubles<kSums>(v)) * sizeof(double);
}
std::size_t join_workspace(std::int64_t rows, std::int64_t C) {
  if (C == 0) return 0;
  return sums_bytes(view_of(rows, C)) + 2 * workspace_bytes(rows, C);
}

struct JoinScratch {
  double* sums;
  Scratch first, second;

  JoinScratch(const View& v, std::int64_t rows, std::int64_t C, std::byte* bytes)
      : sums(reinterpret_cast<double*>(bytes)),
        first(v, bytes + sums_bytes(v)),
        second(v, bytes + sums_bytes(v) + workspace_bytes(rows, C)) {}
};

SENTEI_INLINE vf joined(vf x, vf mean, vf a, vf beta, vf z, vf mean2, vf a2, vf beta2) {
  return affine(x, mean, a, beta) + affine(z, mean2, a2, beta2);
}

void forward(std::int64_t rows, std::int64_t C, const JoinBranch& first, const JoinBranch& second,
             float* y, std::byte* workspace, double eps, double momentum) {
  const View v = view_of(rows, C);
  const JoinScratch w(v, rows, C, workspace);
  const auto statistics = [&](const Scratch& own, const JoinBranch& b) {
    batch_statistics(v, own, b.x, b.gamma, b.beta, b.running_mean, b.running_var, b.mean, b.rstd,
                     eps, momentum, rows, nullptr, nullptr);
  };
  statistics(w.first, first);
  statistics(w.second, second);
  const float *x = first.x, *m = w.first.wide[0], *a = w.first.wide[1], *b = w.first.wide[2];
  const float *z = second.x, *m2 = w.second.wide[0], *a2 = w.second.wide[1];
  const float* b2 = w.second.wide[2];
  map_rows(v, y, [=](std::int64_t i, std::int64_t c, auto tag) {
    st(y + i,
       relu_of(joined(ld(x + i, tag), ld(m + c, tag), ld(a + c, tag), ld(b + c, tag),
                      ld(z + i, tag), ld(m2 + c, tag), ld(a2 + c, tag), ld(b2 + c, tag))),
       tag);
  });
}

struct JoinGradient {
  struct State {
    vf mean, a, beta, mean2, a2, beta2, third;
  };
  const float *dy, *x, *z;
  const float *mean, *a, *beta, *mean2, *a2, *beta2;  // wide
  std::int64_t wide;

  template <class Tag>
  inline __attribute__((always_inline)) State begin(std::int64_t, std::int64_t c, Tag tag) const {
    return {ld(mean + c, tag),
            ld(a + c, tag),
            ld(beta + c, tag),
            ld(mean2 + c, tag),
            ld(a2 + c, tag),
            ld(beta2 + c, tag),
            vf{}};
  }
  template <class Tag>
  inline __attribute__((always_inline)) void step(State& t, std::int64_t i, Tag tag, vf& s,
                                                  vf& q) const {
    const vf u = ld(x + i, tag), w = ld(z + i, tag);
    const vf sum = joined(u, t.mean, t.a, t.beta, w, t.mean2, t.a2, t.beta2);
    const vf g = where_positive(sum, ld(dy + i, tag));
    s += g;
    q = fma(g, u - t.mean, q);
    t.third = fma(g, w - t.mean2, t.third);
  }
  inline __attribute__((always_inline)) void fetch(std::int64_t i) const {
    prefetch(dy, i);
    prefetch(x, i);
    prefetch(z, i);
  }
  inline __attribute__((always_inline)) void end(const State& t, std::int64_t, int, std::int64_t,
                                                 vf s, vf q, double* S, double* Q) const {
    add_to(S, s);
    add_to(Q, q);
    add_to(Q + wide, t.third);
  }
};

void backward(std::int64_t rows, std::int64_t C, const float* dy, const float*,
              const JoinBranchGradient& first, const JoinBranchGradient& second,
              std::byte* workspace) {
  const View v = view_of(rows, C);
  const JoinScratch w(v, rows, C, workspace);
  set_affine(v, w.first, first.mean, first.gamma, first.rstd, first.beta);
  set_affine(v, w.second, second.mean, second.gamma, second.rstd, second.beta);
  const float *x = first.x, *z = second.x;
  const float *m = w.first.wide[0], *a = w.first.wide[1], *b = w.first.wide[2];
  const float *m2 = w.second.wide[0], *a2 = w.second.wide[1], *b2 = w.second.wide[2];
  const std::int64_t wide = padded(v.width);
  reduce_rows<kSums>(v, w.sums, JoinGradient{dy, x, z, m, a, b, m2, a2, b2, wide});
  const double *S = w.sums, *Q = S + wide, *T = Q + wide;
  gradient_coefficients(v, w.first, S, Q, first.rstd, rows, first.dgamma, first.dbeta);
  gradient_coefficients(v, w.second, S, T, second.rstd, rows, second.dgamma, second.dbeta);
  const float *B = w.first.wide[3], *D = w.first.wide[4];
  const float *B2 = w.second.wide[3], *D2 = w.second.wide[4];
  float *dx = first.dx, *dz = second.dx;
  const auto apply = [=](std::int64_t i, std::int64_t c, auto tag) {
    const vf u = ld(x + i, tag), centre = ld(m + c, tag), scale = ld(a + c, tag);
    const vf t = ld(z + i, tag), centre2 = ld(m2 + c, tag), scale2 = ld(a2 + c, tag);
    const vf sum = joined(u, centre, scale, ld(b + c, tag), t, centre2, scale2, ld(b2 + c, tag));
    const vf g = where_positive(sum, ld(dy + i, tag));
    st(dx + i, fma(g, scale, fma(u - centre, ld(B + c, tag), ld(D + c, tag))), tag);
    st(dz + i, fma(g, scale2, fma(t - centre2, ld(B2 + c, tag), ld(D2 + c, tag))), tag);
  };
  const std::int64_t elements = v.rows * v.width;
  if (stores_past(dx, v.width, elements) && stores_past(dz, v.width, elements))
    map_rows_as<Past>(v, apply);
  else
    map_rows_as<Full>(v, apply);
}

}  // namespace

extern const BatchNormJoinKernels batch_norm_join_kernels;
const BatchNormJoinKernels batch_norm_join_kernels = {join_workspace, forward, backward};

}  // namespace sentei::cpu::SENTEI_ISA
