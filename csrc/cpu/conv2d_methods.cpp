#include "cpu/conv2d_methods.hpp"

#include "cpu/bf16.hpp"
#include "cpu/conv2d_nested.hpp"
#include "cpu/conv2d_plan.hpp"
#include "cpu/conv2d_rows.hpp"
#include "cpu/conv2d_weight_winograd.hpp"
#include "cpu/conv2d_winograd.hpp"
#include "cpu/isa.hpp"

namespace sentei::cpu {

SENTEI_PICK_TIER(Conv2dSumKernels, conv2d_sum_kernels)
SENTEI_PICK_TIER(Conv2dWeightKernels, conv2d_weight_kernels)
SENTEI_PICK_TIER(Conv2dWeightWinogradKernels, conv2d_weight_winograd_kernels)
SENTEI_PICK_TIER(Conv2dDepthwiseKernels, conv2d_depthwise_kernels)
SENTEI_PICK_TIER(WinogradKernels, conv2d_winograd_kernels)
SENTEI_PICK_TIER(NestedSumKernels, nested_sum_kernels)
SENTEI_PICK_TIER(NestedWeightKernels, nested_weight_kernels)
SENTEI_PICK_TIER(RowsKernels, rows_kernels)

namespace {

using std::int64_t;
using Floats = std::optional<int64_t>;
using Pass = Conv2dPass;

// -- operands rounded to bfloat16 ------------------------------------------------------------
// Groups run in float32: more exact than asked for, never less.
Floats bf16_floats(const Conv2dGeometry& g, Precision precision, Pass pass) {
  if (precision != Precision::bfloat16 || g.G != 1) return {};
  const std::size_t bytes = pass == Pass::forward          ? bf16_forward_workspace(g)
                            : pass == Pass::backward_input ? bf16_backward_input_workspace(g)
                                                           : bf16_backward_weight_workspace(g);
  return static_cast<int64_t>((bytes + sizeof(float) - 1) / sizeof(float));
}

void bf16_run(const Conv2dCall& c) {
  switch (c.pass) {
    case Pass::forward:
      return bf16_forward(c.g, c.a, c.b, c.bias, c.relu, c.out, c.workspace);
    case Pass::backward_input:
      return bf16_backward_input(c.g, c.a, c.b, c.out, c.workspace);
    case Pass::backward_weight:
      return bf16_backward_weight(c.g, c.a, c.b, c.out, nullptr, 0, c.workspace);
  }
}

// -- 5x5 with nested transforms --------------------------------------------------------------
NestedPlan nested_plan(const Conv2dGeometry& g, Precision precision, Pass pass) {
  return pass == Pass::forward          ? nested_forward_plan(g, precision)
         : pass == Pass::backward_input ? nested_backward_input_plan(g, precision)
                                        : nested_backward_weight_plan(g, precision);
}

Floats nested_floats(const Conv2dGeometry& g, Precision precision, Pass pass) {
  const NestedPlan p = nested_plan(g, precision, pass);
  if (!p.used) return {};
  return pass == Pass::backward_weight ? p.strands * p.strand_floats : nested_workspace(p);
}

void nested_run(const Conv2dCall& c) {
  const NestedPlan p = nested_plan(c.g, c.precision, c.pass);
  if (c.pass == Pass::backward_weight) {
    nested_weight_kernels().run({&p, c.a, c.b, c.out, c.workspace});
  } else {
    const bool backward = c.pass == Pass::backward_input;
    nested_sum_kernels().run({&p, backward, c.a, c.b, c.bias, c.relu, c.out, c.workspace});
  }
}

// -- up to 16 outputs, by rows ---------------------------------------------------------------
RowsPlan rows_plan(const Conv2dGeometry& g, Pass pass) {
  return pass == Pass::forward ? rows_forward_plan(g) : rows_backward_input_plan(g);
}

Floats rows_floats(const Conv2dGeometry& g, Precision, Pass pass) {
  if (pass == Pass::backward_weight) return {};
  const RowsPlan p = rows_plan(g, pass);
  if (!p.used) return {};
  return rows_workspace(p);
}

void rows_run(const Conv2dCall& c) {
  const RowsPlan p = rows_plan(c.g, c.pass);
  const bool backward = c.pass == Pass::backward_input;
  rows_kernels().run({&p, backward, c.a, c.b, c.bias, c.relu, c.out, c.workspace});
}

// -- 3x3 by Winograd's minimal filtering -----------------------------------------------------
WinogradPlan winograd_plan(const Conv2dGeometry& g, Precision precision, Pass pass) {
  return pass == Pass::forward ? winograd_forward_plan(g, precision)
                               : winograd_backward_input_plan(g, precision);
}

Floats winograd_floats(const Conv2dGeometry& g, Precision precision, Pass pass) {
  if (pass == Pass::backward_weight) {
    const int m = conv2d_weight_winograd_tile(g, precision);
    if (!m) return {};
    return conv2d_weight_winograd_split(g, m).floats();
  }
  const WinogradPlan p = winograd_plan(g, precision, pass);
  if (!p.m) return {};
  return winograd_workspace(p);
}

// The packed filter comes first in the workspace, so that a caller may keep it.
void winograd_run(const Conv2dCall& c) {
  if (c.pass == Pass::backward_weight) {
    const int m = conv2d_weight_winograd_tile(c.g, c.precision);
    const Conv2dWeightWinogradSplit split = conv2d_weight_winograd_split(c.g, m);
    return conv2d_weight_winograd_kernels().run({&c.g, split, c.a, c.b, c.out, c.workspace});
  }
  const WinogradPlan p = winograd_plan(c.g, c.precision, c.pass);
  const WinogradKernels& k = conv2d_winograd_kernels();
  k.pack(p, c.b, c.workspace);
  k.run({&p, c.a, c.bias, c.relu, c.out, c.workspace, c.workspace + p.filter_floats});
}

// -- direct, any geometry --------------------------------------------------------------------
// The packed filter and bias of one pass; a depthwise filter is packed over all channels at once.
int64_t sum_floats(const Conv2dGeometry& g, int64_t in_group, int64_t out_group) {
  const int64_t taps = g.R * g.S;
  return g.depthwise() ? (taps + 1) * padded(g.C) : g.G * (taps * in_group + 1) * padded(out_group);
}

Floats direct_floats(const Conv2dGeometry& g, Precision, Pass pass) {
  if (pass == Pass::forward) return sum_floats(g, g.group_channels(), g.group_filters());
  if (pass == Pass::backward_input) return sum_floats(g, g.group_filters(), g.group_channels());
  return conv2d_weight_split(g).floats();
}

void direct_run(const Conv2dCall& c) {
  const Conv2dGeometry& g = c.g;
  if (c.pass == Pass::backward_weight) {
    const auto plan = conv2d_backward_weight_plan(g);
    const Conv2dWeightArgs args = {&g,    plan.get(), conv2d_weight_split(g), c.a, c.b,
                                   c.out, c.workspace};
    args.split.mode == WeightMode::depthwise ? conv2d_depthwise_kernels().weight(args)
                                             : conv2d_weight_kernels().run(args);
    return;
  }
  const bool backward = c.pass == Pass::backward_input;
  const auto plan = backward ? conv2d_backward_input_plan(g) : conv2d_forward_plan(g);
  const Conv2dSumArgs args = {&g,     plan.get(), backward, c.a,        c.b,
                              c.bias, c.relu,     c.out,    c.workspace};
  g.depthwise() ? conv2d_depthwise_kernels().sum(args) : conv2d_sum_kernels().run(args);
}

}  // namespace

const Conv2dMethod conv2d_bf16 = {bf16_floats, bf16_run};
const Conv2dMethod conv2d_nested = {nested_floats, nested_run};
const Conv2dMethod conv2d_rows = {rows_floats, rows_run};
const Conv2dMethod conv2d_winograd = {winograd_floats, winograd_run};
const Conv2dMethod conv2d_direct = {direct_floats, direct_run};

}  // namespace sentei::cpu
