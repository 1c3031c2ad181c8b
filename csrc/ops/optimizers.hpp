#pragma once
#include "core/tensor.hpp"

namespace sentei::ops {

// All change w and their states in place; lr is a tensor (1,). g sees weight_decay w + 2 l2 w
// first.
void sgd_update(const Tensor& w, const Tensor& g, const Tensor* v, const Tensor& lr,
                double momentum, double weight_decay, double l2);
void adagrad_update(const Tensor& w, const Tensor& g, const Tensor& h, const Tensor& lr, double eps,
                    double weight_decay, double l2);
void rmsprop_update(const Tensor& w, const Tensor& g, const Tensor& h, const Tensor& lr,
                    double alpha, double eps, double weight_decay, double l2);
// t: int64 (1,), which update this is, from 1.
void adam_update(const Tensor& w, const Tensor& g, const Tensor& m, const Tensor& v,
                 const Tensor& t, const Tensor& lr, double beta1, double beta2, double eps,
                 bool eps_inside, double weight_decay, double l2);

}  // namespace sentei::ops
