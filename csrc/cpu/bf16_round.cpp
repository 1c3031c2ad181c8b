// Rounding to bfloat16, kept as float32, for the float32 kernels of every tier.
#include "core/parallel.hpp"
#include "cpu/bf16_nearest.hpp"
#include "cpu/bf16_plan.hpp"

namespace sentei::cpu::SENTEI_ISA {
namespace {

void round(std::int64_t n, const float* from, float* to) {
  constexpr std::int64_t chunk = 1 << 14;
  parallel_for(ceil_div(n, chunk), [&](std::int64_t task) {
    const std::int64_t begin = task * chunk, end = imin(n, begin + chunk);
    for (std::int64_t i = begin; i < end; i += kLanes) {
      const int lanes = static_cast<int>(imin(kLanes, end - i));
      store_n(to + i, nearest(load_n(from + i, lanes)), lanes);
    }
  });
}

}  // namespace

extern const Bf16RoundKernels bf16_round_kernels;
const Bf16RoundKernels bf16_round_kernels = {round};

}  // namespace sentei::cpu::SENTEI_ISA
