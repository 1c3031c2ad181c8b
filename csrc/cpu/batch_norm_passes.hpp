// What all kernels of the batch norm family share: scratch, the statistics of a batch, the wide
// coefficients, and the sums of the gradient.
#pragma once
#include <cstddef>

#include "cpu/channels.hpp"

namespace sentei::cpu::SENTEI_ISA {

SENTEI_INLINE vf affine(vf x, vf mean, vf a, vf beta) { return fma(x - mean, a, beta); }
SENTEI_INLINE vf relu_of(vf v) { return v <= vf{} ? vf{} : v; }  // a NaN stays one
SENTEI_INLINE vf where_positive(vf v, vf g) { return v > vf{} ? g : vf{}; }
SENTEI_INLINE float rstd_of(double var, double eps) {
  return static_cast<float>(1.0 / __builtin_sqrt(var + eps));
}

constexpr int kCoefficients = 5;  // wide arrays of floats beside the slots

SENTEI_INLINE std::size_t workspace_bytes(std::int64_t rows, std::int64_t C) {
  if (C == 0) return 0;
  const View v = view_of(rows, C);
  return static_cast<std::size_t>(slot_doubles(v)) * sizeof(double) +
         static_cast<std::size_t>(kCoefficients * padded(v.width)) * sizeof(float);
}

struct Scratch {
  double* slots;
  float* wide[kCoefficients];

  Scratch(const View& v, std::byte* bytes) : slots(reinterpret_cast<double*>(bytes)) {
    float* f = reinterpret_cast<float*>(slots + slot_doubles(v));
    for (int i = 0; i < kCoefficients; ++i) wide[i] = f + i * padded(v.width);
  }
};

struct Statistics {
  struct State {
    vf first;
  };
  const float* x;
  const float* shift;  // wide

  template <class Tag>
  inline __attribute__((always_inline)) State begin(std::int64_t i, std::int64_t, Tag tag) const {
    return {ld(x + i, tag)};
  }
  template <class Tag>
  inline __attribute__((always_inline)) void step(const State& state, std::int64_t i, Tag tag,
                                                  vf& s, vf& q) const {
    const vf d = ld(x + i, tag) - state.first;
    s += d;
    q = fma(d, d, q);
  }
  inline __attribute__((always_inline)) void fetch(std::int64_t i) const { prefetch(x, i); }
  inline __attribute__((always_inline)) void end(const State& state, std::int64_t c, int live,
                                                 std::int64_t rows, vf s, vf q, double* S,
                                                 double* Q) const {
    float sums[kLanes], squares[kLanes], first[kLanes];
    store(sums, s);
    store(squares, q);
    store(first, state.first);
    const double n = static_cast<double>(rows);
    for (int l = 0; l < live; ++l) {  // others belong to columns that a short row lacks
      const double d = static_cast<double>(first[l]) - shift[c + l], sum = sums[l];
      S[l] += sum + n * d;
      Q[l] += squares[l] + d * (2 * sum + n * d);
    }
  }
};

// Wide mean, a = gamma rstd, beta, which all passes share. `beta` may be null.
SENTEI_INLINE void set_affine(const View& v, const Scratch& w, const float* mean,
                              const float* gamma, const float* rstd, const float* beta) {
  const std::int64_t C = v.width / v.copies;
  if (mean) expand(v, mean, w.wide[0]);
  for (std::int64_t c = 0; c < C; ++c) w.wide[3][c] = gamma[c] * rstd[c];
  expand(v, w.wide[3], w.wide[1]);
  if (beta) expand(v, beta, w.wide[2]);
}

// Calls use(c, mean, var) for each channel; in double.
template <class Use>
SENTEI_INLINE void column_statistics(const View& v, const Scratch& w, const float* x,
                                     std::int64_t rows, const Use& use) {
  const std::int64_t C = v.width / v.copies;
  float* shift = w.wide[4];
  for (std::int64_t c = 0; c < padded(v.width); ++c) shift[c] = 0;
  expand(v, x, shift);
  reduce_rows(v, w.slots, Statistics{x, shift});
  const double *S = w.slots, *Q = w.slots + padded(v.width);
  const double n = static_cast<double>(rows);
  for (std::int64_t c = 0; c < C; ++c) {
    const double d = S[c] / n, raw = Q[c] / n - d * d;
    use(c, shift[c] + d, raw < 0 ? 0 : raw);
  }
}

// Means and variances of the batch, computed unless they are given, to mean, rstd and the running
// averages; coefficients to w.
SENTEI_INLINE void batch_statistics(const View& v, const Scratch& w, const float* x,
                                    const float* gamma, const float* beta, float* running_mean,
                                    float* running_var, float* mean, float* rstd, double eps,
                                    double momentum, std::int64_t rows, const float* given_mean,
                                    const float* given_var) {
  const auto use = [=](std::int64_t c, double m, double var) {
    mean[c] = static_cast<float>(m);
    rstd[c] = rstd_of(var, eps);
    running_mean[c] = static_cast<float>((1 - momentum) * running_mean[c] + momentum * m);
    running_var[c] = static_cast<float>((1 - momentum) * running_var[c] + momentum * var);
  };
  if (given_mean)
    for (std::int64_t c = 0; c < v.width / v.copies; ++c) use(c, given_mean[c], given_var[c]);
  else
    column_statistics(v, w, x, rows, use);
  set_affine(v, w, mean, gamma, rstd, beta);
}

// dx = a g + B (x - mean) + D: from the sums S of g and Q of g (x - mean), dgamma,
// dbeta, and B and D, wide, to w.wide[3] and w.wide[4]. `a` is w.wide[1].
SENTEI_INLINE void gradient_coefficients(const View& v, const Scratch& w, const double* S,
                                         const double* Q, const float* rstd, std::int64_t rows,
                                         float* dgamma, float* dbeta) {
  const std::int64_t C = v.width / v.copies;
  float *B = w.wide[3], *D = w.wide[4];
  for (std::int64_t c = 0; c < C; ++c) {
    const double dg = Q[c] * rstd[c], a = w.wide[1][c], n = static_cast<double>(rows);
    dgamma[c] = static_cast<float>(dg);
    dbeta[c] = static_cast<float>(S[c]);
    B[c] = static_cast<float>(-a * rstd[c] * dg / n);
    D[c] = static_cast<float>(-a * S[c] / n);
  }
  expand(v, B, B);
  expand(v, D, D);
}

// From the sums in the first slot.
SENTEI_INLINE void gradient_coefficients(const View& v, const Scratch& w, const float* rstd,
                                         std::int64_t rows, float* dgamma, float* dbeta) {
  gradient_coefficients(v, w, w.slots, w.slots + padded(v.width), rstd, rows, dgamma, dbeta);
}

}  // namespace sentei::cpu::SENTEI_ISA
