// y = relu(batch_norm(x) + other). Forward: the statistics of x, then one pass over x and other.
// Backward: one pass masks dy by y > 0 into dother and sums g and g (x - mean), one writes dx.
// 4 + 12 bytes per element forward, 16 + 12 backward.
#include "kernels/batch_norm_add.hpp"

#include "cpu/batch_norm_passes.hpp"

namespace sentei::cpu::SENTEI_ISA {

using namespace sentei::kernels;
namespace {

void forward(std::int64_t rows, std::int64_t C, const float* x, const float* other,
             const float* gamma, const float* beta, float* running_mean, float* running_var,
             float* y, float* mean, float* rstd, std::byte* workspace, double eps, double momentum,
             const float* given_mean, const float* given_var) {
  const View v = view_of(rows, C);
  const Scratch w(v, workspace);
  batch_statistics(v, w, x, gamma, beta, running_mean, running_var, mean, rstd, eps, momentum, rows,
                   given_mean, given_var);
  const float *m = w.wide[0], *a = w.wide[1], *b = w.wide[2];
  map_rows(v, y, [=](std::int64_t i, std::int64_t c, auto tag) {
    const vf u = affine(ld(x + i, tag), ld(m + c, tag), ld(a + c, tag), ld(b + c, tag));
    st(y + i, relu_of(u + ld(other + i, tag)), tag);
  });
}

template <class Whole>
struct MaskedGradient {
  struct State {
    vf mean;
  };
  const float *dy, *y, *x;
  float* dother;
  const float* mean;  // wide

  template <class Tag>
  inline __attribute__((always_inline)) State begin(std::int64_t, std::int64_t c, Tag tag) const {
    return {ld(mean + c, tag)};
  }
  template <class Tag>
  inline __attribute__((always_inline)) void step(const State& t, std::int64_t i, Tag tag, vf& s,
                                                  vf& q) const {
    const vf g = where_positive(ld(y + i, tag), ld(dy + i, tag));
    if constexpr (__is_same(Tag, Full))
      st(dother + i, g, Whole{});
    else
      st(dother + i, g, tag);
    s += g;
    q = fma(g, ld(x + i, tag) - t.mean, q);
  }
  inline __attribute__((always_inline)) void fetch(std::int64_t i) const {
    prefetch(dy, i);
    prefetch(y, i);
    prefetch(x, i);
  }
  inline __attribute__((always_inline)) void end(const State&, std::int64_t, int, std::int64_t,
                                                 vf s, vf q, double* S, double* Q) const {
    add_to(S, s);
    add_to(Q, q);
  }
};

void backward(std::int64_t rows, std::int64_t C, const float* dy, const float* y, const float* x,
              const float* gamma, const float* mean, const float* rstd, float* dx, float* dother,
              float* dgamma, float* dbeta, std::byte* workspace) {
  const View v = view_of(rows, C);
  const Scratch w(v, workspace);
  set_affine(v, w, mean, gamma, rstd, nullptr);
  if (stores_past(dother, v.width, v.rows * v.width))
    reduce_rows(v, w.slots, MaskedGradient<Past>{dy, y, x, dother, w.wide[0]});
  else
    reduce_rows(v, w.slots, MaskedGradient<Full>{dy, y, x, dother, w.wide[0]});
  gradient_coefficients(v, w, rstd, rows, dgamma, dbeta);
  const float *m = w.wide[0], *a = w.wide[1], *B = w.wide[3], *D = w.wide[4];
  map_rows(v, dx, [=](std::int64_t i, std::int64_t c, auto tag) {
    const vf u = ld(x + i, tag) - ld(m + c, tag);
    st(dx + i, fma(ld(dother + i, tag), ld(a + c, tag), fma(u, ld(B + c, tag), ld(D + c, tag))),
       tag);
  });
}

}  // namespace

extern const BatchNormAddKernels batch_norm_add_kernels;
const BatchNormAddKernels batch_norm_add_kernels = {workspace_bytes, forward, backward};

}  // namespace sentei::cpu::SENTEI_ISA
