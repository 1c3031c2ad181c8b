// Kernels with one mistake each: what the emulator must notice. x and y have 256 values, the block
// 64 threads, where nothing else is said.
#include "cuda/launch.cuh"
#include "probes.hpp"

namespace sentei::cuda {
namespace {

constexpr unsigned kAll = 0xffffffffu;

__device__ int thread() { return static_cast<int>(threadIdx.x); }

// -- refused: the launch throws -----------------------------------------------------------------
__global__ void divergent_barrier_kernel(const float*, float* y) {
  if (thread() < 32)
    __syncthreads();
  else
    __syncthreads();
  y[thread()] = 1;
}
__global__ void early_return_kernel(const float*, float* y) {
  if (thread() >= 60) return;
  __syncthreads();
  y[thread()] = 1;
}
__global__ void late_return_kernel(const float*, float* y) {  // the others wait already
  if (thread() == 63) {
    __syncwarp(1u << 31);
    return;
  }
  __syncthreads();
  y[thread()] = 1;
}
__global__ void half_warp_kernel(const float* x, float* y) {
  float v = x[thread()];
  if (thread() % 32 < 16) v += __shfl_xor_sync(kAll, v, 1);
  y[thread()] = v;
}
__global__ void divergent_warp_kernel(const float* x, float* y) {
  const float v = x[thread()];
  if (thread() % 32 < 16)
    y[thread()] = __shfl_xor_sync(kAll, v, 1);
  else
    y[thread()] = __shfl_xor_sync(kAll, v, 2);
}
__global__ void outside_mask_kernel(const float* x, float* y) {
  y[thread()] = __shfl_xor_sync(0x0000ffffu, x[thread()], 1);
}
__global__ void copy_misaligned_kernel(const float* x, float* y) {
  SENTEI_SHARED(float, tile, [64][4]);
  cp_async<16>(tile[thread()], x + thread() + 1);
  cp_async_commit();
  cp_async_wait<0>();
  y[thread()] = tile[thread()][0];
}
__global__ void copy_not_shared_kernel(const float* x, float* y) {
  cp_async<4>(y + thread(), x + thread());
}
__global__ void matrix_misaligned_kernel(const float*, float* y) {
  SENTEI_SHARED(std::uint32_t, tile, [32][8]);
  for (int i = 0; i < 8; ++i) tile[thread() % 32][i] = 0;
  __syncthreads();
  std::uint32_t r[4];
  ldmatrix_x4(r, &tile[thread() % 32][1]);
  y[thread()] = static_cast<float>(r[0]);
}
__global__ void not_rounded_kernel(const float* x, float* y) {
  const std::uint32_t a[4] = {to_tf32(x[0]), to_tf32(x[1]), to_tf32(x[2]),
                              __float_as_uint(x[thread()] / 3)};
  const std::uint32_t b[2] = {0, 0};
  float d[4] = {0, 0, 0, 0};
  mma_tf32(d, a, b, d);
  y[thread()] = d[0];
}
__global__ void part_of_warp_kernel(const float*, float* y) {  // of 16 threads
  const std::uint32_t a[4] = {0, 0, 0, 0};
  float d[4] = {0, 0, 0, 0};
  mma_bf16(d, a, a, d);
  y[thread()] = d[0];
}
__global__ void read_past_end_kernel(const float* x, float* y) { y[thread()] = x[256 + thread()]; }
__global__ void read_before_kernel(const float* x, float* y) { y[thread()] = x[thread() - 2048]; }
__global__ void write_past_end_kernel(const float* x, float* y) { y[256 + thread()] = x[0]; }
__global__ void write_at_end_kernel(const float* x, float* y, std::int64_t n) {  // n % 4 == 1
  y[thread()] = x[thread()];
  if (thread() == 0) y[n] = 0;
}
__global__ void write_before_kernel(const float*, float* y) { y[thread() - 1] = 1; }
__global__ void vector_misaligned_kernel(const float* x, float* y) {
  y[thread()] = reinterpret_cast<const float4*>(x + 1)[thread() % 8].y;
}
__global__ void shared_index_kernel(const float* x, float* y) {
  SENTEI_SHARED(float, tile, [64]);
  tile[thread() + 1] = x[thread()];
  __syncthreads();
  y[thread()] = tile[thread()];
}
__global__ void dynamic_shared_kernel(const float* x, float* y) {
  SENTEI_DYNAMIC_SHARED(float, tile);
  tile[thread() + 1] = x[thread()];
  __syncthreads();
  y[thread()] = tile[thread()];
}
__global__ void overflow_kernel(const float* x, float* y) {
  const int big = 2147483647 - 62;
  y[thread()] = static_cast<float>(big + thread()) + x[0];
}
__global__ void divide_kernel(const float* x, float* y) {
  y[thread()] = static_cast<float>(7 / (thread() - 5)) + x[0];
}
__device__ float deep(const float* x, int n) {
  volatile float frame[256];
  frame[n % 256] = x[0];
  return n > 0 ? deep(x, n - 1) + frame[n % 256] : 0.0f;
}
__global__ void deep_stack_kernel(const float* x, float* y) {
  y[thread()] = deep(x, static_cast<int>(x[0]) + 1000);
}
__global__ void much_shared_kernel(const float* x, float* y) {
  SENTEI_SHARED(float, tile, [12289]);
  tile[thread()] = x[thread()];
  y[thread()] = tile[thread()];
}
__global__ void nothing_kernel(const float*, float*) {}

// -- seen in the result: y should be x[0..63], the sum of it, or x turned round -------------------
__global__ void missing_barrier_kernel(const float* x, float* y) {
  SENTEI_SHARED(float, tile, [64]);
  tile[thread()] = x[thread()];
  y[thread()] = tile[63 - thread()];
}
__global__ void missing_loop_barrier_kernel(const float* x, float* y) {
  SENTEI_SHARED(float, tile, [64]);
  float sum = 0;
  for (int i = 0; i < 4; ++i) {
    tile[thread()] = x[64 * i + thread()];
    __syncthreads();
    sum += tile[63 - thread()];  // the next round writes while others still read
  }
  y[thread()] = sum;
}
__global__ void missing_warp_barrier_kernel(const float* x, float* y) {
  SENTEI_SHARED(float, tile, [64]);
  tile[thread()] = x[thread()];
  y[thread()] = tile[thread() ^ 1];
}
__global__ void missing_wait_kernel(const float* x, float* y) {
  SENTEI_SHARED(float, tile, [64]);
  cp_async<4>(&tile[thread()], x + thread());
  cp_async_commit();
  cp_async_wait<1>();
  __syncthreads();
  y[thread()] = tile[63 - thread()];
}
__global__ void missing_commit_kernel(const float* x, float* y) {
  SENTEI_SHARED(float, tile, [64]);
  cp_async<4>(&tile[thread()], x + thread());
  cp_async_wait<0>();
  __syncthreads();
  y[thread()] = tile[63 - thread()];
}
__global__ void buffer_in_use_kernel(const float* x, float* y) {
  SENTEI_SHARED(float, tile, [64]);
  tile[thread()] = x[thread()];
  __syncthreads();
  cp_async<4>(&tile[thread()], x + 64 + thread());  // overwrites what others still read
  cp_async_commit();
  y[thread()] = tile[63 - thread()];
  cp_async_wait<0>();
}
__global__ void nobody_wrote_shared_kernel(const float*, float* y) {
  SENTEI_SHARED(float, tile, [64]);
  y[thread()] = tile[thread()];
}
__global__ void nobody_wrote_dynamic_kernel(const float*, float* y) {
  SENTEI_DYNAMIC_SHARED(float, tile);
  y[thread()] = tile[thread()];
  if (blockIdx.x == 0) tile[thread()] = 1;  // the next block must not see it
}
__global__ void nobody_wrote_output_kernel(const float* x, float* y) {
  if (thread() < 63) y[thread()] = x[thread()];
}
__global__ void lane_outside_mask_kernel(const float* x, float* y) {
  if (thread() % 32 < 16) y[thread()] = __shfl_sync(0x0000ffffu, x[thread()], 20);
}

struct Case {
  const char* name;
  void (*kernel)(const float*, float*);
  unsigned blocks = 1, threads = 64;
  std::size_t shared = 0;
};
constexpr std::size_t kTile = 64 * sizeof(float);
constexpr Case kCases[] = {
    {"divergent_barrier", divergent_barrier_kernel},
    {"early_return", early_return_kernel},
    {"late_return", late_return_kernel},
    {"half_warp", half_warp_kernel},
    {"divergent_warp", divergent_warp_kernel},
    {"outside_mask", outside_mask_kernel},
    {"copy_misaligned", copy_misaligned_kernel},
    {"copy_not_shared", copy_not_shared_kernel},
    {"matrix_misaligned", matrix_misaligned_kernel},
    {"not_rounded", not_rounded_kernel},
    {"part_of_warp", part_of_warp_kernel, 1, 16},
    {"read_past_end", read_past_end_kernel},
    {"read_before", read_before_kernel},
    {"write_past_end", write_past_end_kernel},
    {"write_before", write_before_kernel},
    {"vector_misaligned", vector_misaligned_kernel},
    {"shared_index", shared_index_kernel},
    {"dynamic_shared", dynamic_shared_kernel, 1, 64, kTile},
    {"overflow", overflow_kernel},
    {"divide", divide_kernel},
    {"deep_stack", deep_stack_kernel},
    {"much_shared", much_shared_kernel},
    {"much_dynamic_shared", nothing_kernel, 1, 64, cusim::kSharedLimit + 1},
    {"big_block", nothing_kernel, 1, 1025},
    {"missing_barrier", missing_barrier_kernel},
    {"missing_loop_barrier", missing_loop_barrier_kernel},
    {"missing_warp_barrier", missing_warp_barrier_kernel},
    {"missing_wait", missing_wait_kernel},
    {"missing_commit", missing_commit_kernel},
    {"buffer_in_use", buffer_in_use_kernel},
    {"nobody_wrote_shared", nobody_wrote_shared_kernel, 2},
    {"nobody_wrote_dynamic", nobody_wrote_dynamic_kernel, 2, 64, kTile},
    {"nobody_wrote_output", nobody_wrote_output_kernel},
    {"lane_outside_mask", lane_outside_mask_kernel},
};

template <std::size_t I>
void run_case(const float* x, std::int64_t, float* y, std::int64_t) {
  constexpr Case c = kCases[I];
  launch(c.name, c.kernel, c.blocks, c.threads, c.shared, x, y);
}
void write_at_end(const float* x, std::int64_t, float* y, std::int64_t m) {
  launch("write_at_end", write_at_end_kernel, 1, 64, 0, x, y, m);
}
void host_pointer(const float* x, std::int64_t, float*, std::int64_t) {
  float on_host = 0;
  launch("host_pointer", nothing_kernel, 1, 64, 0, x, &on_host);
}
void tall_grid(const float* x, std::int64_t, float* y, std::int64_t) {
  launch("tall_grid", nothing_kernel, dim3(1, 65536), 64, 0, x, y);
}

void host_touches(const float* x, std::int64_t, float*, std::int64_t) {
  static_cast<void>(*static_cast<const volatile float*>(x));
}

template <std::size_t... I>
const cusim::Probe* find(const std::string& name, std::index_sequence<I...>) {
  static constexpr cusim::Probe probes[] = {{kCases[I].name, run_case<I>}...,
                                            {"write_at_end", write_at_end},
                                            {"host_pointer", host_pointer},
                                            {"tall_grid", tall_grid},
                                            {"host_touches", host_touches}};
  for (const cusim::Probe& p : probes)
    if (name == p.name) return &p;
  return nullptr;
}

}  // namespace
}  // namespace sentei::cuda

const cusim::Probe* cusim::find_wrong_probe(const std::string& name) {
  using sentei::cuda::kCases;
  return sentei::cuda::find(name, std::make_index_sequence<std::size(kCases)>());
}
