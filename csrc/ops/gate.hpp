#pragma once
#include <string>

#include "core/tensor.hpp"

namespace sentei::ops {

// kind "step": h = 1 where m > 0, its slope taken as 1 / (1 + exp(-m)); kind "sigmoid":
// h = 1 / (1 + exp(-alpha m)) with its own slope. h may be m, dm may be m or dh.
void gate_forward(const Tensor& m, const Tensor& h, const std::string& kind, float alpha);
void gate_backward(const Tensor& m, const Tensor& dh, const Tensor& dm, const std::string& kind,
                   float alpha);
// m = min(max(m, -bound), bound), in place.
void gate_clip(const Tensor& m, float bound);
// y = w h, where the shape of h is how the shape of w begins; y may be w.
void gate_weights_forward(const Tensor& w, const Tensor& h, const Tensor& y);
// dw = dy h, dh = sum dy w, with "sign" as estimator sum dy sign(w); dw may be dy.
void gate_weights_backward(const Tensor& dy, const Tensor& w, const Tensor& h, const Tensor& dw,
                           const Tensor& dh, const std::string& estimator);
// value = lam mean(h)
void gate_penalty_forward(const Tensor& h, const Tensor& value, double lam);
void gate_penalty_backward(const Tensor& dvalue, const Tensor& dh, double lam);

}  // namespace sentei::ops
