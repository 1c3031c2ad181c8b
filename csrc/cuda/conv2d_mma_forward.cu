// y = conv(x, w) + bias on tensor cores: m = pixels of y, n = filters, depth = (tap, channel),
// gathered from x as it lies. 2 N P Q K R S C FLOPs.
#include "cuda/device/mma_kernels.cuh"

namespace sentei::cuda {

void launch_mma_forward(const char* name, Precision precision, const MmaPlan& plan,
                        const MmaSumParams& p) {
  with_mma(precision, plan.shape, [&]<class Num, class Tile>() {
    launch(name, mma_sum_kernel<Num, Tile, MmaForward>,
           dim3(plan.tiles, 1, static_cast<unsigned>(plan.slots)), Tile::kThreads, Tile::kShared,
           p);
  });
}

}  // namespace sentei::cuda
