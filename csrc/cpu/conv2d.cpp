#include "kernels/conv2d.hpp"

#include "cpu/bf16.hpp"
#include "cpu/conv2d_nested.hpp"
#include "cpu/conv2d_plan.hpp"
#include "cpu/conv2d_weight_winograd.hpp"
#include "cpu/isa.hpp"

namespace sentei::cpu {

SENTEI_PICK_TIER(Conv2dSumKernels, conv2d_sum_kernels)
SENTEI_PICK_TIER(Conv2dWeightKernels, conv2d_weight_kernels)
SENTEI_PICK_TIER(Conv2dWeightWinogradKernels, conv2d_weight_winograd_kernels)
SENTEI_PICK_TIER(Conv2dDepthwiseKernels, conv2d_depthwise_kernels)
SENTEI_PICK_TIER(NestedSumKernels, nested_sum_kernels)
SENTEI_PICK_TIER(NestedWeightKernels, nested_weight_kernels)

namespace {

std::size_t floats(std::int64_t n) { return static_cast<std::size_t>(n) * sizeof(float); }

// The packed filter and bias of one pass; a depthwise filter is packed over all channels at once.
std::size_t sum_workspace(const Conv2dGeometry& g, std::int64_t in_group, std::int64_t out_group) {
  const std::int64_t taps = g.R * g.S;
  return g.depthwise() ? floats((taps + 1) * padded(g.C))
                       : floats(g.G * (taps * in_group + 1) * padded(out_group));
}

// Groups run in float32: more exact than asked for, never less.
bool in_bf16(const Conv2dGeometry& g, Precision precision) {
  return precision == Precision::bfloat16 && g.G == 1;
}

void run_sum(const Conv2dSumArgs& args) {
  if (args.g->depthwise()) {
    conv2d_depthwise_kernels().sum(args);
  } else {
    conv2d_sum_kernels().run(args);
  }
}

std::size_t forward_workspace(const Conv2dGeometry& g, Precision precision) {
  if (in_bf16(g, precision)) return bf16_forward_workspace(g);
  const NestedPlan nested = nested_forward_plan(g, precision);
  if (nested.used) return floats(nested_workspace(nested));
  return sum_workspace(g, g.group_channels(), g.group_filters());
}

void forward(const Conv2dGeometry& g, Precision precision, const float* x, const float* w,
             const float* bias, bool relu, float* y, void* workspace) {
  if (g.N == 0) return;
  if (in_bf16(g, precision)) return bf16_forward(g, x, w, bias, relu, y, workspace);
  const NestedPlan nested = nested_forward_plan(g, precision);
  if (nested.used) {
    nested_sum_kernels().run(
        {&nested, false, x, w, bias, relu, y, static_cast<float*>(workspace)});
    return;
  }
  const auto plan = conv2d_forward_plan(g);
  run_sum({&g, plan.get(), false, x, w, bias, relu, y, static_cast<float*>(workspace)});
}

std::size_t backward_input_workspace(const Conv2dGeometry& g, Precision precision) {
  if (in_bf16(g, precision)) return bf16_backward_input_workspace(g);
  const NestedPlan nested = nested_backward_input_plan(g, precision);
  if (nested.used) return floats(nested_workspace(nested));
  return sum_workspace(g, g.group_filters(), g.group_channels());
}

void backward_input(const Conv2dGeometry& g, Precision precision, const float* dy, const float* w,
                    float* dx, void* workspace) {
  if (g.N == 0) return;
  if (in_bf16(g, precision)) return bf16_backward_input(g, dy, w, dx, workspace);
  const NestedPlan nested = nested_backward_input_plan(g, precision);
  if (nested.used) {
    nested_sum_kernels().run(
        {&nested, true, dy, w, nullptr, false, dx, static_cast<float*>(workspace)});
    return;
  }
  const auto plan = conv2d_backward_input_plan(g);
  run_sum({&g, plan.get(), true, dy, w, nullptr, false, dx, static_cast<float*>(workspace)});
}

std::size_t backward_weight_workspace(const Conv2dGeometry& g, Precision precision) {
  if (in_bf16(g, precision)) return bf16_backward_weight_workspace(g);
  const NestedPlan nested = nested_backward_weight_plan(g, precision);
  if (nested.used) return floats(nested.strands * nested.strand_floats);
  if (const int m = conv2d_weight_winograd_tile(g, precision))
    return floats(conv2d_weight_winograd_split(g, m).floats());
  return floats(conv2d_weight_split(g).floats());
}

void backward_weight(const Conv2dGeometry& g, Precision precision, const float* x, const float* dy,
                     float* dw, void* workspace) {
  if (in_bf16(g, precision)) return bf16_backward_weight(g, x, dy, dw, nullptr, 0, workspace);
  const NestedPlan nested = nested_backward_weight_plan(g, precision);
  if (nested.used) {
    nested_weight_kernels().run({&nested, x, dy, dw, static_cast<float*>(workspace)});
    return;
  }
  if (const int m = conv2d_weight_winograd_tile(g, precision)) {
    conv2d_weight_winograd_kernels().run({&g, conv2d_weight_winograd_split(g, m), x, dy, dw,
                                          static_cast<float*>(workspace)});
    return;
  }
  const auto plan = conv2d_backward_weight_plan(g);
  const Conv2dWeightArgs args = {&g, plan.get(), conv2d_weight_split(g),        x,
                                 dy, dw,         static_cast<float*>(workspace)};
  if (args.split.mode == WeightMode::depthwise) {
    conv2d_depthwise_kernels().weight(args);
  } else {
    conv2d_weight_kernels().run(args);
  }
}

}  // namespace

const kernels::Conv2dKernels& conv2d_kernels() {
  static constexpr kernels::Conv2dKernels table = {
      forward_workspace, backward_input_workspace, backward_weight_workspace,
      forward,           backward_input,           backward_weight};
  return table;
}

}  // namespace sentei::cpu
