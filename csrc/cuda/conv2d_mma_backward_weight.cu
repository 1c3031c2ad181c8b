// dw = sum over pixels of dy x on tensor cores: m = filters, n = (tap, channel), depth = pixels of
// y, split into slots whose sums are added in their order. x is gathered tap by tap, never copied.
#include "cuda/device/mma_kernels.cuh"

namespace sentei::cuda {

void launch_mma_backward_weight(const char* name, Precision precision, const MmaPlan& plan,
                                const MmaWeightParams& p) {
  with_mma(precision, plan.shape, [&]<class Num, class Tile>() {
    launch(name, mma_weight_kernel<Num, Tile>,
           dim3(plan.tiles, 1, static_cast<unsigned>(plan.slots)), Tile::kThreads, Tile::kShared,
           p);
  });
}

}  // namespace sentei::cuda
