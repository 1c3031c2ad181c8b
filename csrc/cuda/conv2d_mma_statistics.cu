// y = conv(x, w) + bias on tensor cores, as conv2d_mma_forward.cu has it, and the moments of the
// columns of each tile (device/tile_moments.cuh): 12 bytes more per column and tile.
#include "cuda/device/mma_kernels.cuh"

namespace sentei::cuda {

void launch_mma_statistics(const char* name, Precision precision, const MmaPlan& plan,
                           const MmaSumParams& p) {
  with_mma(precision, plan.shape, [&]<class Num, class Tile>() {
    static_assert(TileMoments<Tile::kM / Tile::kWarpM, Tile::kN, Tile::kThreads>::kBytes <=
                  Tile::kShared);
    launch(name, mma_sum_kernel<Num, Tile, MmaForward, true>,
           dim3(plan.tiles, 1, static_cast<unsigned>(plan.slots)), Tile::kThreads, Tile::kShared,
           p);
  });
}

}  // namespace sentei::cuda
