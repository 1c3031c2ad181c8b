// dx = dy * turned w on tensor cores: m = pixels of dx, n = channels, depth = (tap, filter),
// gathered from dy. With a stride, pixels of one parity see a regular part of the taps: a grid of
// results for each, side by side in one launch. Filters are read as they lie. 2 N P Q K R S C
// FLOPs.
#include "cuda/device/mma_kernels.cuh"

namespace sentei::cuda {

void launch_mma_backward_input(const char* name, Precision precision, const MmaPlan& plan,
                               int parts, const MmaSumParams& p) {
  with_mma(precision, plan.shape, [&]<class Num, class Tile>() {
    launch(name, mma_sum_kernel<Num, Tile, MmaBackwardInput>,
           dim3(plan.tiles, 1, static_cast<unsigned>(parts * plan.slots)), Tile::kThreads,
           Tile::kShared, p);
  });
}

}  // namespace sentei::cuda
