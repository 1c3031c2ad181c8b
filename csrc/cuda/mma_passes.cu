// The passes around tensor-core products, and how these are cut.
#include <algorithm>

#include "cuda/device/elementwise.cuh"
#include "cuda/device/mma_load.cuh"
#include "cuda/mma_plan.hpp"

namespace sentei::cuda {
namespace {

constexpr int kThreads = 256;

struct CastPair {
  MmaCast part[2];
  bool wide[2];
};

// 4 bytes read and 2 written per element; a thread makes 16 bytes of y.
__global__ void __launch_bounds__(kThreads) mma_cast_kernel(const __grid_constant__ CastPair p) {
  const MmaCast& c = p.part[blockIdx.y];
  const int chunks = c.padded / 8;
  const std::int64_t all = c.rows * chunks, step = std::int64_t{gridDim.x} * kThreads;
  for (std::int64_t i = std::int64_t{blockIdx.x} * kThreads + threadIdx.x; i < all; i += step) {
    float v[8];
    if (p.wide[blockIdx.y]) {
      const float4* const from = reinterpret_cast<const float4*>(c.x) + 2 * i;
      const float4 low = from[0], high = from[1];
      v[0] = low.x, v[1] = low.y, v[2] = low.z, v[3] = low.w;
      v[4] = high.x, v[5] = high.y, v[6] = high.z, v[7] = high.w;
    } else {
      int chunk;
      const float* const from = c.x + divided(i, chunks, chunk) * c.C;
#pragma unroll
      for (int j = 0; j < 8; ++j) v[j] = 8 * chunk + j < c.C ? from[8 * chunk + j] : 0.0f;
    }
    reinterpret_cast<uint4*>(c.y)[i] = make_uint4(to_bf16x2(v[0], v[1]), to_bf16x2(v[2], v[3]),
                                                  to_bf16x2(v[4], v[5]), to_bf16x2(v[6], v[7]));
  }
}

// One thread per element of y: few rows, scattered reads.
template <class T>
__global__ void __launch_bounds__(kThreads)
    mma_gather_kernel(const std::int32_t* rows, MmaRowLimit limit, std::int64_t N, std::int64_t O,
                      int most, int padded, const float* dy, T* y) {
  const std::int64_t count = limit.rows(most);
  const std::int64_t step = std::int64_t{gridDim.x} * kThreads;
  for (std::int64_t i = std::int64_t{blockIdx.x} * kThreads + threadIdx.x; i < N * padded;
       i += step) {
    int m;
    const std::int64_t n = divided(i, padded, m);
    float v = 0.0f;
    if (m < count) {
      const std::int64_t at = std::int64_t{limit.offsets[*limit.group]} + m;
      const std::int64_t o = at >= 0 && at < O ? rows[at] : -1;
      v = o >= 0 && o < O ? dy[n * O + o] : __uint_as_float(0x7fffffffu);  // no such row: NaN
    }
    if constexpr (sizeof(T) == 2)
      y[i] = static_cast<T>(to_bf16x2(v, 0.0f));
    else
      y[i] = v;
  }
}

// 4 (slots + 1) bytes per result; a thread owns four neighbours.
__global__ void __launch_bounds__(kThreads)
    mma_slot_sum_kernel(std::int64_t floats, int slots, std::int64_t slot_floats,
                        const float* partial, const float* bias, int K, bool relu, float* y,
                        bool wide, MmaRowLimit limit, std::int64_t row_floats) {
  const std::int64_t all = limit.offsets ? limit.rows(floats / row_floats) * row_floats : floats;
  const std::int64_t step = std::int64_t{gridDim.x} * kThreads;
  for (std::int64_t i = std::int64_t{blockIdx.x} * kThreads + threadIdx.x; 4 * i < all; i += step) {
    const float4* from = reinterpret_cast<const float4*>(partial) + i;
    float4 sum = *from;
#pragma unroll 4
    for (int s = 1; s < slots; ++s) {
      const float4 v = from[s * (slot_floats / 4)];
      sum.x += v.x, sum.y += v.y, sum.z += v.z, sum.w += v.w;
    }
    float v[4] = {sum.x, sum.y, sum.z, sum.w};
    if (bias) {
      int k;
      divided(4 * i, K, k);
#pragma unroll
      for (int j = 0; j < 4; ++j, k = k + 1 == K ? 0 : k + 1) v[j] += __ldg(bias + k);
    }
#pragma unroll
    for (int j = 0; j < 4; ++j) v[j] = relu && v[j] < 0.0f ? 0.0f : v[j];
    if (wide && 4 * i + 4 <= all) {
      reinterpret_cast<float4*>(y)[i] = make_float4(v[0], v[1], v[2], v[3]);
    } else {
#pragma unroll
      for (int j = 0; j < 4; ++j)
        if (4 * i + j < all) y[4 * i + j] = v[j];
    }
  }
}

// An H200 has 132 multiprocessors. Fewer tiles than that are made smaller, then split in depth, so
// that two blocks can sit on each; a slot keeps enough stages to fill its pipeline.
constexpr std::int64_t kBlocksWanted = 132, kSlotSteps = 4;

std::int64_t tiles(std::int64_t m, std::int64_t n, int tile_m, int tile_n) {
  return ceil_div(m, tile_m) * ceil_div(n, tile_n);
}

MmaPlan plan(MmaShape shape, std::int64_t m, std::int64_t n, int parts, std::int64_t steps,
             std::int64_t floats, std::int64_t most_slots) {
  const int tile_m = mma_rows(shape);
  const int tile_n = shape == MmaShape::t128x128 ? 128 : shape == MmaShape::t64x32 ? 32 : 64;
  const std::int64_t blocks = tiles(m, n, tile_m, tile_n);
  std::int64_t slots = 1;
  if (blocks > 0 && blocks * parts < kBlocksWanted)
    slots = std::clamp<std::int64_t>(2 * kBlocksWanted / (blocks * parts), 1,
                                     std::max<std::int64_t>(1, steps / kSlotSteps));
  slots = std::max<std::int64_t>(1, std::min(slots, most_slots));
  if (steps > 0) slots = ceil_div(steps, ceil_div(steps, slots));  // none of them empty
  return {shape, static_cast<unsigned>(blocks), static_cast<int>(slots),
          slots > 1 ? ceil_div(floats, 4) * 4 : 0};
}

}  // namespace

MmaPlan mma_sum_plan(std::int64_t m, std::int64_t n, std::int64_t steps, int parts,
                     std::int64_t floats) {
  MmaShape shape = MmaShape::t64x64;
  if (n <= 32)
    shape = MmaShape::t64x32;
  else if (n <= 64 && tiles(m, n, 128, 64) * parts >= kBlocksWanted)
    shape = MmaShape::t128x64;
  else if (n > 64 && tiles(m, n, 128, 128) * parts >= kBlocksWanted)
    shape = MmaShape::t128x128;
  return plan(shape, m, n, parts, steps, floats, 256);
}

MmaPlan mma_weight_plan(std::int64_t m, std::int64_t n, std::int64_t steps, std::int64_t floats,
                        int most_slots) {
  const std::int64_t deep = std::max<std::int64_t>(1, steps / kSlotSteps);
  MmaShape shape = MmaShape::t64x64;
  if (n <= 32)
    shape = MmaShape::t64x32;
  else if (m > 64 && n <= 64 && tiles(m, n, 128, 64) * deep >= kBlocksWanted)
    shape = MmaShape::t128x64;
  else if (m > 64 && n > 64 && tiles(m, n, 128, 128) * deep >= kBlocksWanted)
    shape = MmaShape::t128x128;
  return plan(shape, m, n, 1, steps, floats, most_slots);
}

void launch_mma_cast(const char* name, const MmaCast& a, const MmaCast& b) {
  CastPair p{{a, b}, {}};
  std::int64_t most = 0;
  for (int i = 0; i < 2; ++i) {
    p.wide[i] = p.part[i].C == p.part[i].padded && aligned16(p.part[i].x);
    most = std::max(most, p.part[i].rows * (p.part[i].padded / 8));
  }
  launch(name, mma_cast_kernel, dim3(blocks_for(most, kThreads, 8192), 2), kThreads, 0, p);
}

void launch_mma_gather(const char* name, Precision precision, const kernels::ActiveRows& active,
                       const MmaRowLimit& limit, std::int64_t N, std::int64_t O, int rows,
                       int padded, const float* dy, void* y) {
  const unsigned blocks = blocks_for(N * padded, kThreads, 8192);
  if (precision == Precision::bfloat16)
    launch(name, mma_gather_kernel<std::uint16_t>, blocks, kThreads, 0, active.rows, limit, N, O,
           rows, padded, dy, static_cast<std::uint16_t*>(y));
  else
    launch(name, mma_gather_kernel<float>, blocks, kThreads, 0, active.rows, limit, N, O, rows,
           padded, dy, static_cast<float*>(y));
}

void launch_mma_slot_sum(const char* name, const MmaPlan& plan, std::int64_t floats,
                         const float* partial, const float* bias, int K, bool relu, float* y,
                         const MmaRowLimit& limit, std::int64_t row_floats) {
  launch(name, mma_slot_sum_kernel, blocks_for(ceil_div(floats, 4), kThreads, 8192), kThreads, 0,
         floats, plan.slots, plan.slot_floats, partial, bias, K, relu, y, aligned16(y), limit,
         row_floats);
}

}  // namespace sentei::cuda
