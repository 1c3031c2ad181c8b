#pragma once
#include <cstdint>

#include "kernels/table.hpp"

namespace sentei::kernels {

struct AdamScalars {
  float beta1, keep1;  // keep = 1 - beta
  float beta2, keep2;
  float step;        // lr / (1 - beta1^t)
  float correction;  // 1 / (1 - beta2^t)
  float eps, decay;
  bool eps_inside;
};

// `decay` = weight_decay + 2 l2: the gradient that an update sees is g + decay w.
struct OptimizerKernels {
  // v may be null: w -= lr g.
  void (*sgd)(std::int64_t n, float* w, const float* g, float* v, float lr, float momentum,
              float decay);
  void (*adagrad)(std::int64_t n, float* w, const float* g, float* h, float lr, float eps,
                  float decay);
  // keep = 1 - alpha, subtracted in double by the caller.
  void (*rmsprop)(std::int64_t n, float* w, const float* g, float* h, float lr, float alpha,
                  float keep, float eps, float decay);
  void (*adam)(std::int64_t n, float* w, const float* g, float* m, float* v, const AdamScalars& s);
};

}  // namespace sentei::kernels
SENTEI_KERNEL_TABLE(OptimizerKernels, optimizer_kernels)
