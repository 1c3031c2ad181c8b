// y = a + b, elementwise, or its ReLU; 12 bytes moved per element.
#include "kernels/add.hpp"

#include "cpu/elementwise.hpp"

namespace sentei::cpu::SENTEI_ISA {

using namespace sentei::kernels;
namespace {

void forward(std::int64_t n, const float* a, const float* b, bool relu, float* y) {
  if (relu)
    map_pairs(n, a, b, y, [](vf u, vf v) {
      const vf sum = u + v;
      return sum <= vf{} ? vf{} : sum;  // a NaN stays one
    });
  else
    map_pairs(n, a, b, y, [](vf u, vf v) { return u + v; });
}

}  // namespace

extern const AddKernels add_kernels;
const AddKernels add_kernels = {forward};

}  // namespace sentei::cpu::SENTEI_ISA
