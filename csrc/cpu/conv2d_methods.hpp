// The ways in which a pass of a convolution can be computed. conv2d.cpp asks them in order; the
// first that takes a geometry at a precision runs it. What takes what depends on nothing else but
// the instruction set, so that workspaces and bits can be relied on.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>

#include "core/precision.hpp"
#include "ops/conv2d_geometry.hpp"

namespace sentei::cpu {

enum class Conv2dPass : std::uint8_t { forward, backward_input, backward_weight };

// forward: a = x, b = w, out = y. backward_input: dy, w, dx. backward_weight: x, dy, dw.
struct Conv2dCall {
  const Conv2dGeometry& g;
  Precision precision;
  Conv2dPass pass;
  const float *a, *b;
  const float* bias;  // forward; may be null
  bool relu;          // forward
  float* out;
  float* workspace;
};

struct Conv2dMethod {
  // Floats of workspace; none where the method does not take it.
  std::optional<std::int64_t> (*floats)(const Conv2dGeometry& g, Precision precision,
                                        Conv2dPass pass);
  void (*run)(const Conv2dCall& call);
};

extern const Conv2dMethod conv2d_bf16, conv2d_nested, conv2d_rows, conv2d_winograd, conv2d_direct;

}  // namespace sentei::cpu
