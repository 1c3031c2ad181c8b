#include "kernels/conv2d.hpp"

#include "cpu/conv2d_methods.hpp"

namespace sentei::cpu {
namespace {

// Best first; the last takes everything.
constexpr const Conv2dMethod* kMethods[] = {&conv2d_bf16, &conv2d_nested, &conv2d_winograd,
                                            &conv2d_rows, &conv2d_direct};

template <Conv2dPass pass>
std::size_t workspace(const Conv2dGeometry& g, Precision precision) {
  for (const Conv2dMethod* m : kMethods)
    if (const auto floats = m->floats(g, precision, pass))
      return static_cast<std::size_t>(*floats) * sizeof(float);
  return 0;
}

void run(const Conv2dCall& call) {
  for (const Conv2dMethod* m : kMethods)
    if (m->floats(call.g, call.precision, call.pass)) return m->run(call);
}

void forward(const Conv2dGeometry& g, Precision precision, const float* x, const float* w,
             const float* bias, bool relu, float* y, void* workspace) {
  if (g.N == 0) return;
  run({g, precision, Conv2dPass::forward, x, w, bias, relu, y, static_cast<float*>(workspace)});
}

void backward_input(const Conv2dGeometry& g, Precision precision, const float* dy, const float* w,
                    float* dx, void* workspace) {
  if (g.N == 0) return;
  run({g, precision, Conv2dPass::backward_input, dy, w, nullptr, false, dx,
       static_cast<float*>(workspace)});
}

void backward_weight(const Conv2dGeometry& g, Precision precision, const float* x, const float* dy,
                     float* dw, void* workspace) {
  run({g, precision, Conv2dPass::backward_weight, x, dy, nullptr, false, dw,
       static_cast<float*>(workspace)});
}

}  // namespace

const kernels::Conv2dKernels& conv2d_kernels() {
  static constexpr kernels::Conv2dKernels table = {workspace<Conv2dPass::forward>,
                                                   workspace<Conv2dPass::backward_input>,
                                                   workspace<Conv2dPass::backward_weight>,
                                                   forward,
                                                   backward_input,
                                                   backward_weight};
  return table;
}

}  // namespace sentei::cpu
