// The checks that the batch norm family shares.
#pragma once
#include <cmath>

#include "ops/checks.hpp"

namespace sentei::ops {

inline void check_norm_input(const char* op, const char* name, const Tensor& x) {
  check_float(op, name, x);
  SENTEI_CHECK(ShapeError, x.shape().rank == 2 || x.shape().rank == 4, op, ": ", name,
               " must have shape (N, H, W, C) or (N, C), got ", x.shape());
}

inline void check_channels(const char* op, const char* name, const Tensor& t, const Tensor& x) {
  check_float(op, name, t);
  check_shape(op, name, t, Shape{x.shape().back()});
}

inline void check_like(const char* op, const char* name, const Tensor& t, const Tensor& x) {
  check_float(op, name, t);
  check_shape(op, name, t, x.shape());
}

inline void check_given(const char* op, const char* name, const Tensor* t) {
  SENTEI_CHECK(ValueError, t != nullptr, op, ": ", name, " must be given when relu is on");
}

inline void check_eps(const char* op, double eps) {
  SENTEI_CHECK(ValueError, std::isfinite(eps) && eps > 0, op,
               ": eps must be a finite number above 0, got ", eps);
}

// dgamma and dbeta are written between two passes over the inputs and dx; the first two inputs may
// be dx.
inline void check_gradients(const char* op, const Tensor& dx, const Tensor& dgamma,
                            const Tensor& dbeta, std::initializer_list<Argument> inputs) {
  check_apart(op, "dgamma", dgamma, inputs);
  check_apart(op, "dbeta", dbeta, inputs);
  check_apart(op, "dgamma", dgamma, {{"dx", &dx}, {"dbeta", &dbeta}});
  check_apart(op, "dbeta", dbeta, "dx", dx);
  for (const Argument* vector = inputs.begin() + 2; vector != inputs.end(); ++vector)
    check_apart(op, "dx", dx, {*vector});
}

inline void check_momentum(const char* op, double momentum) {
  SENTEI_CHECK(ValueError, momentum >= 0 && momentum <= 1, op,
               ": momentum must be between 0 and 1, got ", momentum);
}

inline void check_not_empty(const char* op, const Tensor& x) {
  SENTEI_CHECK(ShapeError, x.size() > 0, op,
               ": x must have at least one element per channel, got shape ", x.shape());
}

// Statistics of x that the caller has already: both or none.
inline void check_given_statistics(const char* op, const Tensor* mean, const Tensor* var,
                                   const Tensor& x) {
  SENTEI_CHECK(ValueError, (mean == nullptr) == (var == nullptr), op,
               ": batch_mean and batch_var must be given together");
  if (!mean) return;
  check_channels(op, "batch_mean", *mean, x);
  check_channels(op, "batch_var", *var, x);
}

// What the forward pass writes beside y: apart from all it reads, and from one another.
inline void check_statistics(const char* op, std::initializer_list<Argument> outs,
                             std::initializer_list<Argument> others) {
  for (const Argument& out : outs) {
    check_apart(op, out.name, *out.tensor, others);
    for (const Argument* before = outs.begin(); before != &out; ++before)
      check_apart(op, out.name, *out.tensor, before->name, *before->tensor);
  }
}

inline std::byte* check_scratch(const char* op, const Tensor& workspace, std::int64_t need) {
  return check_workspace(op, workspace, static_cast<std::size_t>(need));
}

}  // namespace sentei::ops
