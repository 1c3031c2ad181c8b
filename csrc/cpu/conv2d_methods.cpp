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
using Room = std::optional<Conv2dRoom>;
using Pass = Conv2dPass;

// A filter packed at the start of the workspace, or before.
Conv2dRoom behind(int64_t packed, int64_t scratch) { return {packed + scratch, packed, scratch}; }

// Where the packed filter and the scratch of a call lie; packs it unless that has been done.
struct Parts {
  const float* packed;
  float* scratch;

  template <class Pack>
  Parts(const Conv2dCall& c, int64_t floats, const Pack& pack)
      : packed(c.packed), scratch(c.workspace) {
    if (packed) return;
    pack(c.b, c.workspace);
    packed = c.workspace, scratch += floats;
  }
};

// -- operands rounded to bfloat16 ------------------------------------------------------------
int64_t floats(std::size_t bytes) {
  return static_cast<int64_t>((bytes + sizeof(float) - 1) / sizeof(float));
}

// Groups run in float32: more exact than asked for, never less.
Room bf16_room(const Conv2dGeometry& g, Precision precision, Pass pass) {
  if (precision != Precision::bfloat16 || g.G != 1) return {};
  if (pass == Pass::backward_input) return {{floats(bf16_backward_input_workspace(g))}};
  if (pass == Pass::backward_weight) return {{floats(bf16_backward_weight_workspace(g))}};
  const int64_t workspace = floats(bf16_forward_workspace(g)),
                packed = floats(bf16_packed_bytes(g));
  if (!packed) return {{workspace}};
  return {{workspace, packed, floats(bf16_packed_workspace(g))}};
}

void bf16_pack_filter(const Conv2dGeometry& g, Precision, const float* w, float* packed) {
  bf16_pack(g, w, packed);
}

void bf16_run(const Conv2dCall& c) {
  switch (c.pass) {
    case Pass::forward:
      if (c.packed)
        return bf16_packed_forward(c.g, c.a, c.packed, c.bias, c.relu, c.out, c.workspace);
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

Room nested_room(const Conv2dGeometry& g, Precision precision, Pass pass) {
  const NestedPlan p = nested_plan(g, precision, pass);
  if (!p.used) return {};
  if (pass == Pass::backward_weight) return {{p.strands * p.strand_floats}};
  return behind(p.filter_floats, nested_scratch(p));
}

void nested_pack(const Conv2dGeometry& g, Precision precision, const float* w, float* packed) {
  nested_sum_kernels().pack(nested_forward_plan(g, precision), false, w, packed);
}

void nested_run(const Conv2dCall& c) {
  const NestedPlan p = nested_plan(c.g, c.precision, c.pass);
  if (c.pass == Pass::backward_weight)
    return nested_weight_kernels().run({&p, c.a, c.b, c.out, c.workspace});
  const bool backward = c.pass == Pass::backward_input;
  const Parts parts(c, p.filter_floats, [&](const float* w, float* to) {
    nested_sum_kernels().pack(p, backward, w, to);
  });
  nested_sum_kernels().run({&p, backward, c.a, c.bias, c.relu, c.out, parts.packed, parts.scratch});
}

// -- up to 16 outputs, by rows ---------------------------------------------------------------
RowsPlan rows_plan(const Conv2dGeometry& g, Pass pass) {
  return pass == Pass::forward ? rows_forward_plan(g) : rows_backward_input_plan(g);
}

Room rows_room(const Conv2dGeometry& g, Precision, Pass pass) {
  if (pass == Pass::backward_weight) return {};
  const RowsPlan p = rows_plan(g, pass);
  if (!p.used) return {};
  return behind(p.filter_floats, rows_scratch(p));
}

void rows_pack(const Conv2dGeometry& g, Precision, const float* w, float* packed) {
  rows_kernels().pack(rows_forward_plan(g), false, w, packed);
}

void rows_run(const Conv2dCall& c) {
  const RowsPlan p = rows_plan(c.g, c.pass);
  const Parts parts(c, p.filter_floats, [&](const float* w, float* to) {
    rows_kernels().pack(p, c.pass == Pass::backward_input, w, to);
  });
  rows_kernels().run({&p, c.a, c.bias, c.relu, c.out, parts.packed, parts.scratch});
}

// -- 3x3 by Winograd's minimal filtering -----------------------------------------------------
WinogradPlan winograd_plan(const Conv2dGeometry& g, Precision precision, Pass pass) {
  return pass == Pass::forward ? winograd_forward_plan(g, precision)
                               : winograd_backward_input_plan(g, precision);
}

Room winograd_room(const Conv2dGeometry& g, Precision precision, Pass pass) {
  if (pass == Pass::backward_weight) {
    const int m = conv2d_weight_winograd_tile(g, precision);
    if (!m) return {};
    return {{conv2d_weight_winograd_split(g, m).floats()}};
  }
  const WinogradPlan p = winograd_plan(g, precision, pass);
  if (!p.m) return {};
  return behind(p.filter_floats, winograd_scratch(p));
}

void winograd_pack(const Conv2dGeometry& g, Precision precision, const float* w, float* packed) {
  conv2d_winograd_kernels().pack(winograd_forward_plan(g, precision), w, packed);
}

void winograd_run(const Conv2dCall& c) {
  if (c.pass == Pass::backward_weight) {
    const int m = conv2d_weight_winograd_tile(c.g, c.precision);
    const Conv2dWeightWinogradSplit split = conv2d_weight_winograd_split(c.g, m);
    return conv2d_weight_winograd_kernels().run({&c.g, split, c.a, c.b, c.out, c.workspace});
  }
  const WinogradPlan p = winograd_plan(c.g, c.precision, c.pass);
  const WinogradKernels& k = conv2d_winograd_kernels();
  const Parts parts(c, p.filter_floats, [&](const float* w, float* to) { k.pack(p, w, to); });
  k.run({&p, c.a, c.bias, c.relu, c.out, parts.packed, parts.scratch});
}

// -- direct, any geometry --------------------------------------------------------------------
// A depthwise filter is packed over all channels at once. Then comes the padded bias.
int64_t sum_packed(const Conv2dGeometry& g, bool backward) {
  const int64_t taps = g.R * g.S;
  const int64_t in = backward ? g.group_filters() : g.group_channels();
  const int64_t out = backward ? g.group_channels() : g.group_filters();
  return g.depthwise() ? taps * padded(g.C) : g.G * taps * in * padded(out);
}
int64_t sum_bias(const Conv2dGeometry& g, bool backward) {
  const int64_t out = backward ? g.group_channels() : g.group_filters();
  return g.depthwise() ? padded(g.C) : g.G * padded(out);
}

Room direct_room(const Conv2dGeometry& g, Precision, Pass pass) {
  if (pass == Pass::backward_weight) return {{conv2d_weight_split(g).floats()}};
  const bool backward = pass == Pass::backward_input;
  return behind(sum_packed(g, backward), sum_bias(g, backward));
}

void sum_pack(const Conv2dGeometry& g, const Conv2dSumPlan& plan, bool backward, const float* w,
              float* packed) {
  g.depthwise() ? conv2d_depthwise_kernels().pack(g, plan, w, packed)
                : conv2d_sum_kernels().pack(g, plan, backward, w, packed);
}

void direct_pack(const Conv2dGeometry& g, Precision, const float* w, float* packed) {
  sum_pack(g, *conv2d_forward_plan(g), false, w, packed);
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
  const Parts parts(c, sum_packed(g, backward),
                    [&](const float* w, float* to) { sum_pack(g, *plan, backward, w, to); });
  const Conv2dSumArgs args = {&g,     plan.get(), backward,     c.a,          c.bias,
                              c.relu, c.out,      parts.packed, parts.scratch};
  g.depthwise() ? conv2d_depthwise_kernels().sum(args) : conv2d_sum_kernels().run(args);
}

}  // namespace

const Conv2dMethod conv2d_bf16 = {"bfloat16", bf16_room, bf16_pack_filter, bf16_run};
const Conv2dMethod conv2d_nested = {"nested", nested_room, nested_pack, nested_run};
const Conv2dMethod conv2d_rows = {"rows", rows_room, rows_pack, rows_run};
const Conv2dMethod conv2d_winograd = {"winograd", winograd_room, winograd_pack, winograd_run};
const Conv2dMethod conv2d_direct = {"direct", direct_room, direct_pack, direct_run};

Conv2dChoice conv2d_choice(const Conv2dGeometry& g, Precision precision, Conv2dPass pass) {
  for (const Conv2dMethod* m : kConv2dMethods)
    if (const auto room = m->room(g, precision, pass)) return {m, *room};
  return {&conv2d_direct, {0}};
}

}  // namespace sentei::cpu
