// y = a + b, elementwise; 12 bytes moved per element.
#include "kernels/add.hpp"

#include "cpu/elementwise.hpp"

namespace sentei::cpu::SENTEI_ISA {

using namespace sentei::kernels;
namespace {

void forward(std::int64_t n, const float* a, const float* b, float* y) {
  map_pairs(n, a, b, y, [](vf u, vf v) { return u + v; });
}

}  // namespace

extern const AddKernels add_kernels;
const AddKernels add_kernels = {forward};

}  // namespace sentei::cpu::SENTEI_ISA
