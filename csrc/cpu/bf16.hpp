// Products of operands rounded to bfloat16, summed in float32: Precision::bfloat16 on the CPU.
// Convolutions without groups; a linear layer is one of images of one pixel. Which unit multiplies
// is chosen once, at first use: AMX tiles, AVX512_BF16, or float32 kernels on rounded copies.
#pragma once
#include <cstddef>
#include <cstdint>

#include "ops/conv2d_geometry.hpp"

namespace sentei::cpu {

enum class Bf16Unit : std::uint8_t { amx, avx512, portable };

const char* bf16_unit_name(Bf16Unit unit);  // "amx"
bool bf16_unit_built(Bf16Unit unit);
bool bf16_unit_supported(Bf16Unit unit);  // by this CPU and its kernel, for the active tier
Bf16Unit bf16_unit();                     // SENTEI_BF16=amx|avx512|portable overrides
void set_bf16_unit(const char* name);     // for tests; ValueError when it is not supported

// n numbers, rounded and kept as float32.
void bf16_round(std::int64_t n, const float* from, float* to);

// As in kernels/conv2d.hpp, for g.G == 1.
std::size_t bf16_forward_workspace(const Conv2dGeometry& g);
void bf16_forward(const Conv2dGeometry& g, const float* x, const float* w, const float* bias,
                  bool relu, float* y, void* workspace);
// The same with filters that bf16_pack has packed; 0 bytes: they cannot be.
std::size_t bf16_packed_bytes(const Conv2dGeometry& g);
void bf16_pack(const Conv2dGeometry& g, const float* w, void* packed);
std::size_t bf16_packed_workspace(const Conv2dGeometry& g);
void bf16_packed_forward(const Conv2dGeometry& g, const float* x, const void* packed,
                         const float* bias, bool relu, float* y, void* workspace);
std::size_t bf16_backward_input_workspace(const Conv2dGeometry& g);
void bf16_backward_input(const Conv2dGeometry& g, const float* dy, const float* w, float* dx,
                         void* workspace);
std::size_t bf16_backward_weight_workspace(const Conv2dGeometry& g);
// Of the filters rows[0 .. count) alone, in that order, where rows is given.
void bf16_backward_weight(const Conv2dGeometry& g, const float* x, const float* dy, float* dw,
                          const std::int32_t* rows, std::int64_t count, void* workspace);

}  // namespace sentei::cpu
