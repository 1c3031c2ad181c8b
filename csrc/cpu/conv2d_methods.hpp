// The ways in which a pass of a convolution can be computed. conv2d.cpp asks them in order; the
// first that takes a geometry at a precision runs it. What takes what depends on nothing else but
// the instruction set, so that workspaces and bits can be relied on.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "core/precision.hpp"
#include "ops/conv2d_geometry.hpp"

namespace sentei::cpu {

enum class Conv2dPass : std::uint8_t { forward, backward_input, backward_weight };

// Floats of workspace. Forward: `packed`, those of the filter in the order that the kernel reads
// (0: it is not packed ahead), and `scratch`, what a call needs that gets it packed.
struct Conv2dRoom {
  std::int64_t workspace, packed = 0, scratch = 0;
};

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
  const float* packed;  // forward: made by pack, in the place of b; or null
};

struct Conv2dMethod {
  const char* name;
  // None where the method does not take it.
  std::optional<Conv2dRoom> (*room)(const Conv2dGeometry& g, Precision precision, Conv2dPass pass);
  // The filter of the forward pass. The order may depend on the geometry, but not on N.
  void (*pack)(const Conv2dGeometry& g, Precision precision, const float* w, float* packed);
  void (*run)(const Conv2dCall& call);
};

extern const Conv2dMethod conv2d_bf16, conv2d_nested, conv2d_rows, conv2d_winograd, conv2d_direct;

// Best first; the last takes everything.
constexpr std::array<const Conv2dMethod*, 5> kConv2dMethods = {
    &conv2d_bf16, &conv2d_nested, &conv2d_winograd, &conv2d_rows, &conv2d_direct};

struct Conv2dChoice {
  const Conv2dMethod* method;
  Conv2dRoom room;
};
Conv2dChoice conv2d_choice(const Conv2dGeometry& g, Precision precision, Conv2dPass pass);

}  // namespace sentei::cpu
