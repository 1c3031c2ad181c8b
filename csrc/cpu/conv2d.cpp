#include "kernels/conv2d.hpp"

#include "cpu/conv2d_methods.hpp"
#include "kernels/conv2d_packed.hpp"

namespace sentei::cpu {
namespace {

template <Conv2dPass pass>
std::size_t workspace(const Conv2dGeometry& g, Precision precision) {
  return static_cast<std::size_t>(conv2d_choice(g, precision, pass).room.workspace) * sizeof(float);
}

void run(const Conv2dCall& call) {
  conv2d_choice(call.g, call.precision, call.pass).method->run(call);
}

void forward(const Conv2dGeometry& g, Precision precision, const float* x, const float* w,
             const float* bias, bool relu, float* y, void* workspace) {
  if (g.N == 0) return;
  run({g, precision, Conv2dPass::forward, x, w, bias, relu, y, static_cast<float*>(workspace),
       nullptr});
}

void backward_input(const Conv2dGeometry& g, Precision precision, const float* dy, const float* w,
                    float* dx, void* workspace) {
  if (g.N == 0) return;
  run({g, precision, Conv2dPass::backward_input, dy, w, nullptr, false, dx,
       static_cast<float*>(workspace), nullptr});
}

void backward_weight(const Conv2dGeometry& g, Precision precision, const float* x, const float* dy,
                     float* dw, void* workspace) {
  run({g, precision, Conv2dPass::backward_weight, x, dy, nullptr, false, dw,
       static_cast<float*>(workspace), nullptr});
}

kernels::Conv2dPacking packing(const Conv2dGeometry& g, Precision precision) {
  const Conv2dChoice c = conv2d_choice(g, precision, Conv2dPass::forward);
  return {c.method->name, static_cast<std::size_t>(c.room.packed) * sizeof(float),
          static_cast<std::size_t>(c.room.scratch) * sizeof(float)};
}

void pack(const Conv2dGeometry& g, Precision precision, const float* w, void* packed) {
  conv2d_choice(g, precision, Conv2dPass::forward)
      .method->pack(g, precision, w, static_cast<float*>(packed));
}

void packed_forward(const Conv2dGeometry& g, Precision precision, const float* x,
                    const void* packed, const float* bias, bool relu, float* y, void* workspace) {
  if (g.N == 0) return;
  run({g, precision, Conv2dPass::forward, x, nullptr, bias, relu, y, static_cast<float*>(workspace),
       static_cast<const float*>(packed)});
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

const kernels::Conv2dPackedKernels& conv2d_packed_kernels() {
  static constexpr kernels::Conv2dPackedKernels table = {packing, pack, packed_forward};
  return table;
}

}  // namespace sentei::cpu
