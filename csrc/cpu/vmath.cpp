// The functions of vmath.hpp on whole arrays, single-threaded: what the tests of accuracy call.
#include "cpu/vmath.hpp"

#include "cpu/vmath_table.hpp"

namespace sentei::cpu::SENTEI_ISA {
namespace {

template <vf (*F)(vf)>
void map(std::int64_t n, const float* x, float* y) {
  for (std::int64_t i = 0; i < n; i += kLanes) {
    const int m = static_cast<int>(imin(kLanes, n - i));
    store_n(y + i, F(load_n(x + i, m)), m);
  }
}

}  // namespace

extern const VmathKernels vmath_kernels;
const VmathKernels vmath_kernels = {map<vexp>,  map<vexpm1>,    map<vlog>,     map<vlog1p>,
                                    map<vtanh>, map<vlogistic>, map<vsoftplus>};

}  // namespace sentei::cpu::SENTEI_ISA
