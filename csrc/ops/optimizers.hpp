#pragma once
#include <vector>

#include "core/tensor.hpp"

namespace sentei::ops {

// All change w and their states in place; lr is a tensor (1,). g sees weight_decay w + 2 l2 w
// first.
void sgd_update(const Tensor& w, const Tensor& g, const Tensor* v, const Tensor& lr,
                double momentum, double weight_decay, double l2);
// sgd_update of many parameters at once; xs: w, g, v of each, or w, g without v. Numbers: one per
// parameter.
void sgd_update_many(const Tensor& lr, const std::vector<Tensor>& xs, bool with_v,
                     const std::vector<double>& momentum, const std::vector<double>& weight_decay,
                     const std::vector<double>& l2);
void adagrad_update(const Tensor& w, const Tensor& g, const Tensor& h, const Tensor& lr, double eps,
                    double weight_decay, double l2);
void rmsprop_update(const Tensor& w, const Tensor& g, const Tensor& h, const Tensor& lr,
                    double alpha, double eps, double weight_decay, double l2);
// t: int64 (1,), which update this is, from 1.
void adam_update(const Tensor& w, const Tensor& g, const Tensor& m, const Tensor& v,
                 const Tensor& t, const Tensor& lr, double beta1, double beta2, double eps,
                 bool eps_inside, double weight_decay, double l2);

}  // namespace sentei::ops
