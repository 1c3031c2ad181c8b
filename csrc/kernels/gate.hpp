#pragma once
#include <cstddef>
#include <cstdint>

#include "kernels/table.hpp"

namespace sentei::kernels {

struct GateKernels {
  // hard: the step function, its slope that of softplus; else the logistic function of alpha m.
  void (*forward)(std::int64_t n, const float* m, float* h, bool hard, float alpha);
  void (*backward)(std::int64_t n, const float* m, const float* dh, float* dm, bool hard,
                   float alpha);
  void (*clip)(std::int64_t n, float* m, float bound);
  // Row i of w, `width` long, times h[i].
  void (*weights_forward)(std::int64_t rows, std::int64_t width, const float* w, const float* h,
                          float* y);
  void (*weights_backward)(std::int64_t rows, std::int64_t width, const float* dy, const float* w,
                           const float* h, float* dw, float* dh, bool sign);
  void (*penalty_forward)(std::int64_t n, const float* h, float* value, double scale);
  void (*penalty_backward)(std::int64_t n, const float* dvalue, float* dh, double scale);
};

}  // namespace sentei::kernels
SENTEI_KERNEL_TABLE(GateKernels, gate_kernels)
