// y = a + b, elementwise. Tasks of 16 Ki elements; 12 bytes moved per element.
#include "kernels/add.hpp"

#include "core/parallel.hpp"
#include "cpu/simd.hpp"

namespace sentei::cpu::SENTEI_ISA {

using namespace sentei::kernels;
namespace {

constexpr std::int64_t kBlock = 16384;

void forward(std::int64_t n, const float* a, const float* b, float* y) {
  parallel_for(ceil_div(n, kBlock), [=](std::int64_t task) {
    const std::int64_t end = imin(n, (task + 1) * kBlock);
    std::int64_t i = task * kBlock;
    for (; i + kLanes <= end; i += kLanes) store(y + i, load(a + i) + load(b + i));
    if (i < end) {
      const int m = static_cast<int>(end - i);
      store_n(y + i, load_n(a + i, m) + load_n(b + i, m), m);
    }
  });
}

}  // namespace

extern const AddKernels add_kernels;
const AddKernels add_kernels = {forward};

}  // namespace sentei::cpu::SENTEI_ISA
