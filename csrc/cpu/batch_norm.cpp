// Batch norm per channel, y = (x - mean) a + beta with a = gamma rstd, optionally through ReLU.
// Training forward: one pass sums x and x^2 about the first row of each block of 128 rows (the sums
// of squares then exceed the block's own scatter at most 128 times, so nothing cancels), blocks are
// joined in double about the first pixel; a second pass writes y. 4 + 8 bytes per element.
// Backward: one pass sums g and g (x - mean), a second writes dx = a g + B (x - mean) + D; with
// ReLU, g = dy where the forward expression, evaluated again to the same bits, is above 0. 8 + 12
// bytes.
#include "kernels/batch_norm.hpp"

#include "cpu/batch_norm_passes.hpp"

namespace sentei::cpu::SENTEI_ISA {

using namespace sentei::kernels;
namespace {

template <bool Relu>
void apply(const View& v, const float* x, float* y, const float* mean, const float* a,
           const float* beta) {
  map_rows(v, y, [=](std::int64_t i, std::int64_t c, auto tag) {
    const vf u = affine(ld(x + i, tag), ld(mean + c, tag), ld(a + c, tag), ld(beta + c, tag));
    st(y + i, Relu ? relu_of(u) : u, tag);
  });
}

void apply_any(const View& v, const float* x, float* y, const Scratch& w, bool relu) {
  if (relu)
    apply<true>(v, x, y, w.wide[0], w.wide[1], w.wide[2]);
  else
    apply<false>(v, x, y, w.wide[0], w.wide[1], w.wide[2]);
}

void forward(std::int64_t rows, std::int64_t C, const float* x, const float* gamma,
             const float* beta, float* running_mean, float* running_var, float* y, float* mean,
             float* rstd, std::byte* workspace, double eps, double momentum, bool relu,
             const float* given_mean, const float* given_var) {
  const View v = view_of(rows, C);
  const Scratch w(v, workspace);
  batch_statistics(v, w, x, gamma, beta, running_mean, running_var, mean, rstd, eps, momentum, rows,
                   given_mean, given_var);
  apply_any(v, x, y, w, relu);
}

void inference(std::int64_t rows, std::int64_t C, const float* x, const float* gamma,
               const float* beta, const float* mean, const float* var, float* y,
               std::byte* workspace, double eps, bool relu) {
  const View v = view_of(rows, C);
  const Scratch w(v, workspace);
  for (std::int64_t c = 0; c < C; ++c) w.wide[4][c] = rstd_of(var[c], eps);
  set_affine(v, w, mean, gamma, w.wide[4], beta);
  apply_any(v, x, y, w, relu);
}

// Sums of g and g (x - mean); with dx also writes dx = a g (statistics that do not follow x).
template <bool Relu, bool Dx>
struct Gradient {
  struct State {
    vf mean, a, beta;
  };
  const float *dy, *x;
  float* dx;
  const float *mean, *a, *beta;  // wide

  template <class Tag>
  inline __attribute__((always_inline)) State begin(std::int64_t, std::int64_t c, Tag tag) const {
    return {ld(mean + c, tag), Relu || Dx ? ld(a + c, tag) : vf{}, Relu ? ld(beta + c, tag) : vf{}};
  }
  template <class Tag>
  inline __attribute__((always_inline)) void step(const State& t, std::int64_t i, Tag tag, vf& s,
                                                  vf& q) const {
    const vf u = ld(x + i, tag);
    vf g = ld(dy + i, tag);
    if (Relu) g = where_positive(affine(u, t.mean, t.a, t.beta), g);
    s += g;
    q = fma(g, u - t.mean, q);
    if (Dx) st(dx + i, g * t.a, tag);
  }
  inline __attribute__((always_inline)) void fetch(std::int64_t i) const {
    prefetch(dy, i);
    prefetch(x, i);
  }
  inline __attribute__((always_inline)) void end(const State&, std::int64_t, int, std::int64_t,
                                                 vf s, vf q, double* S, double* Q) const {
    add_to(S, s);
    add_to(Q, q);
  }
};

template <bool Relu>
void backward_as(std::int64_t rows, std::int64_t C, const float* dy, const float* x,
                 const float* gamma, const float* mean, const float* rstd, const float* beta,
                 float* dx, float* dgamma, float* dbeta, std::byte* workspace) {
  const View v = view_of(rows, C);
  const Scratch w(v, workspace);
  set_affine(v, w, mean, gamma, rstd, Relu ? beta : nullptr);
  reduce_rows(v, w.slots, Gradient<Relu, false>{dy, x, nullptr, w.wide[0], w.wide[1], w.wide[2]});
  gradient_coefficients(v, w, rstd, rows, dgamma, dbeta);
  const float *B = w.wide[3], *D = w.wide[4];
  const float *m = w.wide[0], *a = w.wide[1], *b = w.wide[2];
  map_rows(v, dx, [=](std::int64_t i, std::int64_t c, auto tag) {
    const vf u = ld(x + i, tag), centre = ld(m + c, tag), scale = ld(a + c, tag);
    vf g = ld(dy + i, tag);
    if (Relu) g = where_positive(affine(u, centre, scale, ld(b + c, tag)), g);
    st(dx + i, fma(g, scale, fma(u - centre, ld(B + c, tag), ld(D + c, tag))), tag);
  });
}

void backward(std::int64_t rows, std::int64_t C, const float* dy, const float* x,
              const float* gamma, const float* mean, const float* rstd, const float* beta,
              float* dx, float* dgamma, float* dbeta, std::byte* workspace, bool relu) {
  (relu ? backward_as<true> : backward_as<false>)(rows, C, dy, x, gamma, mean, rstd, beta, dx,
                                                  dgamma, dbeta, workspace);
}

void inference_backward(std::int64_t rows, std::int64_t C, const float* dy, const float* x,
                        const float* gamma, const float* mean, const float* var, const float* beta,
                        float* dx, float* dgamma, float* dbeta, std::byte* workspace, double eps,
                        bool relu) {
  const View v = view_of(rows, C);
  const Scratch w(v, workspace);
  float* rstd = w.wide[4];
  for (std::int64_t c = 0; c < C; ++c) rstd[c] = rstd_of(var[c], eps);
  set_affine(v, w, mean, gamma, rstd, relu ? beta : nullptr);
  if (relu)
    reduce_rows(v, w.slots, Gradient<true, true>{dy, x, dx, w.wide[0], w.wide[1], w.wide[2]});
  else
    reduce_rows(v, w.slots, Gradient<false, true>{dy, x, dx, w.wide[0], w.wide[1], w.wide[2]});
  const double *S = w.slots, *Q = w.slots + padded(v.width);
  for (std::int64_t c = 0; c < C; ++c) {
    dgamma[c] = static_cast<float>(Q[c] * rstd[c]);
    dbeta[c] = static_cast<float>(S[c]);
  }
}

void inference_backward_input(std::int64_t rows, std::int64_t C, const float* dy,
                              const float* gamma, const float* var, const float* x,
                              const float* mean, const float* beta, float* dx, std::byte* workspace,
                              double eps, bool relu) {
  const View v = view_of(rows, C);
  const Scratch w(v, workspace);
  for (std::int64_t c = 0; c < C; ++c) w.wide[4][c] = rstd_of(var[c], eps);
  set_affine(v, w, relu ? mean : nullptr, gamma, w.wide[4], relu ? beta : nullptr);
  const float *m = w.wide[0], *a = w.wide[1], *b = w.wide[2];
  if (relu)
    map_rows(v, dx, [=](std::int64_t i, std::int64_t c, auto tag) {
      const vf scale = ld(a + c, tag);
      const vf u = affine(ld(x + i, tag), ld(m + c, tag), scale, ld(b + c, tag));
      st(dx + i, where_positive(u, ld(dy + i, tag)) * scale, tag);
    });
  else
    map_rows(v, dx, [=](std::int64_t i, std::int64_t c, auto tag) {
      st(dx + i, ld(dy + i, tag) * ld(a + c, tag), tag);
    });
}

}  // namespace

extern const BatchNormKernels batch_norm_kernels;
const BatchNormKernels batch_norm_kernels = {
    workspace_bytes, forward, backward, inference, inference_backward, inference_backward_input};

}  // namespace sentei::cpu::SENTEI_ISA
