#pragma once
#include <cstdint>

#include "kernels/table.hpp"

namespace sentei::kernels {

struct AdamScalars {
  double beta1, beta2;
  float eps, decay;
  bool eps_inside;
};

// One parameter of sgd_many. v may be null: w -= lr g.
struct SgdTensor {
  std::int64_t n;
  float* w;
  const float* g;
  float* v;
  float momentum, decay;
};

// `decay` = weight_decay + 2 l2: the gradient that an update sees is g + decay w. lr and t are read
// on the device.
struct OptimizerKernels {
  // v may be null: w -= lr g.
  void (*sgd)(std::int64_t n, float* w, const float* g, float* v, const float* lr, float momentum,
              float decay);
  // sgd of `count` parameters (the list is the host's) that share no memory.
  void (*sgd_many)(std::int64_t count, const SgdTensor* tensors, const float* lr);
  void (*adagrad)(std::int64_t n, float* w, const float* g, float* h, const float* lr, float eps,
                  float decay);
  // keep = 1 - alpha, subtracted in double by the caller.
  void (*rmsprop)(std::int64_t n, float* w, const float* g, float* h, const float* lr, float alpha,
                  float keep, float eps, float decay);
  // The corrections 1 - beta^t are computed in double; t counts from 1.
  void (*adam)(std::int64_t n, float* w, const float* g, float* m, float* v, const std::int64_t* t,
               const float* lr, const AdamScalars& s);
};

}  // namespace sentei::kernels
SENTEI_KERNEL_TABLE(OptimizerKernels, optimizer_kernels)
