// mma.sync and ldmatrix with the fragments that PTX documents. Products are summed in double and
// rounded once: hardware differs in the last bits.
#pragma once
#include <cstdint>

#include "block.hpp"

namespace cusim {

// d (16, 8) = a (16, K) b (K, 8) + c: K = 8 for tf32, 16 for bf16. d may be c.
void mma_tf32(float* d, const std::uint32_t* a, const std::uint32_t* b, const float* c,
              const Place& here);
void mma_bf16(float* d, const std::uint32_t* a, const std::uint32_t* b, const float* c,
              const Place& here);
// `count` (2 or 4) 8x8 matrices of 16-bit words; lane i gives row i % 8 of matrix i / 8.
void ldmatrix(std::uint32_t* r, const void* row, int count, bool transposed, const Place& here);

}  // namespace cusim
