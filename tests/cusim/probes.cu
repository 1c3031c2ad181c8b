// Kernels whose results NumPy can check: collectives, tensor-core fragments, schedules.
#include "core/check.hpp"
#include "cuda/device/mma_load.cuh"
#include "cuda/launch.cuh"
#include "device_memory.hpp"
#include "probes.hpp"

namespace sentei::cuda {
namespace {

constexpr unsigned kAll = 0xffffffffu;

// x: 32 values. y: seven shuffles and a vote, 32 values each.
__global__ void collectives_kernel(const float* x, float* y) {
  const int lane = static_cast<int>(threadIdx.x);
  const float v = x[lane];
  y[lane] = __shfl_sync(kAll, v, lane * 7 + 3);
  y[32 + lane] = __shfl_up_sync(kAll, v, 3);
  y[64 + lane] = __shfl_down_sync(kAll, v, 5, 8);
  y[96 + lane] = __shfl_xor_sync(kAll, v, 9);
  y[128 + lane] = __shfl_sync(kAll, v, 2, 4);
  y[160 + lane] =
      lane < 16 ? __shfl_xor_sync(0x0000ffffu, v, 1) : __shfl_xor_sync(0xffff0000u, v, 2);
  const unsigned odd = __ballot_sync(kAll, lane % 2 == 1);
  y[192 + lane] = odd == 0xaaaaaaaau && __any_sync(kAll, lane == 5) && !__all_sync(kAll, lane != 5);
}

// The order in which threads take numbers, before and after a barrier; blocks too.
__global__ void tickets_kernel(float* y, int* next) {
  const unsigned at = blockIdx.x * blockDim.x + threadIdx.x, all = gridDim.x * blockDim.x;
  y[at] = static_cast<float>(atomicAdd(next, 1));
  __syncthreads();
  y[all + at] = static_cast<float>(atomicAdd(next, 1));
}

// d (16, 8) = a (16, 8) b (8, 8) + c (16, 8) in tf32; x holds a, b, c.
__global__ void mma_tf32_kernel(const float* x, float* d) {
  const int lane = static_cast<int>(threadIdx.x), g = lane / 4, t = lane % 4;
  const float *a = x, *b = x + 128, *c = x + 192;
  const std::uint32_t ra[4] = {to_tf32(a[g * 8 + t]), to_tf32(a[(g + 8) * 8 + t]),
                               to_tf32(a[g * 8 + t + 4]), to_tf32(a[(g + 8) * 8 + t + 4])};
  const std::uint32_t rb[2] = {to_tf32(b[t * 8 + g]), to_tf32(b[(t + 4) * 8 + g])};
  float r[4];
  for (int i = 0; i < 4; ++i) r[i] = c[(g + 8 * (i / 2)) * 8 + 2 * t + i % 2];
  mma_tf32(r, ra, rb, r);
  for (int i = 0; i < 4; ++i) d[(g + 8 * (i / 2)) * 8 + 2 * t + i % 2] = r[i];
}

// d (16, 8) = a (16, 16) b (16, 8) in bf16, fragments by ldmatrix: a as it lies, b transposed.
__global__ void mma_bf16_kernel(const float* x, float* d) {
  SENTEI_SHARED(std::uint32_t, a, [16][8]);  // pairs
  SENTEI_SHARED(std::uint32_t, b, [16][4]);
  const int lane = static_cast<int>(threadIdx.x), g = lane / 4, t = lane % 4;
  for (int i = lane; i < 128; i += 32) a[i / 8][i % 8] = to_bf16x2(x[2 * i], x[2 * i + 1]);
  for (int i = lane; i < 64; i += 32)
    b[i / 4][i % 4] = to_bf16x2(x[256 + 2 * i], x[256 + 2 * i + 1]);
  __syncwarp();
  std::uint32_t ra[4], rb[2];
  ldmatrix_x4(ra, &a[lane % 8 + lane / 8 % 2 * 8][lane / 16 * 4]);
  ldmatrix_x2_trans(rb, &b[lane % 16][0]);
  float r[4] = {0, 0, 0, 0};
  mma_bf16(r, ra, rb, r);
  for (int i = 0; i < 4; ++i) d[(g + 8 * (i / 2)) * 8 + 2 * t + i % 2] = r[i];
}

// y[r] = sum of row r of x (rows of 64), the next row on its way while one is summed.
__global__ void pipeline_kernel(const float* x, std::int64_t rows, float* y) {
  SENTEI_DYNAMIC_SHARED(float, buffer);  // [2][64]
  SENTEI_SHARED(float, sums, [64]);
  const int t = static_cast<int>(threadIdx.x);
  cp_async<4>(buffer + t, x + t);
  cp_async_commit();
  for (std::int64_t r = 0; r < rows; ++r) {
    const bool more = r + 1 < rows;
    cp_async<4>(buffer + (r + 1) % 2 * 64 + t, x + (more ? r + 1 : r) * 64 + t, more ? 4 : 0);
    cp_async_commit();
    cp_async_wait<1>();
    __syncthreads();
    sums[t] = buffer[r % 2 * 64 + t] + buffer[r % 2 * 64 + (t + 1) % 64];
    __syncthreads();
    for (int half = 32; half > 0; half /= 2) {
      if (t < half) sums[t] += sums[t + half];
      __syncthreads();
    }
    if (t == 0) y[r] = sums[0] / 2;
  }
}

// Rows (high, low, b) of x: a = high 2^24 + low; of y: the quotient a / b as a is given, the rest.
__global__ void divided_kernel(const float* x, float* y) {
  const float* const from = x + 3 * threadIdx.x;
  const auto high = static_cast<std::int64_t>(from[0]), low = static_cast<std::int64_t>(from[1]);
  int rest;
  const std::int64_t q = divided((high << 24) + low, static_cast<int>(from[2]), rest);
  float* const to = y + 3 * threadIdx.x;
  to[0] = static_cast<float>(q >> 24);
  to[1] = static_cast<float>(q & 0xffffff);
  to[2] = static_cast<float>(rest);
}

void collectives(const float* x, std::int64_t, float* y, std::int64_t) {
  launch("collectives_kernel", collectives_kernel, 1, 32, 0, x, y);
}
void tickets(const float*, std::int64_t, float* y, std::int64_t m) {
  auto* const next = static_cast<int*>(cusim::device_allocate(sizeof(int)));
  {
    const cusim::DeviceAccess access;
    *next = 0;
  }
  launch("tickets_kernel", tickets_kernel, static_cast<unsigned>(m / 2 / 96), 96, 0, y, next);
  cusim::device_release(next);
}
void tf32(const float* x, std::int64_t, float* y, std::int64_t) {
  launch("mma_tf32_kernel", mma_tf32_kernel, 1, 32, 0, x, y);
}
void bf16(const float* x, std::int64_t, float* y, std::int64_t) {
  launch("mma_bf16_kernel", mma_bf16_kernel, 1, 32, 0, x, y);
}
void pipeline(const float* x, std::int64_t n, float* y, std::int64_t) {
  launch("pipeline_kernel", pipeline_kernel, 1, 64, 2 * 64 * sizeof(float), x, n / 64, y);
}
void quotients(const float* x, std::int64_t n, float* y, std::int64_t) {
  launch("divided_kernel", divided_kernel, 1, static_cast<unsigned>(n / 3), 0, x, y);
}

constexpr cusim::Probe kProbes[] = {{"collectives", collectives}, {"tickets", tickets},
                                    {"mma_tf32", tf32},           {"mma_bf16", bf16},
                                    {"pipeline", pipeline},       {"divided", quotients}};

}  // namespace
}  // namespace sentei::cuda

namespace cusim {

const Probe* find_right_probe(const std::string& name) {
  for (const Probe& p : sentei::cuda::kProbes)
    if (name == p.name) return &p;
  return nullptr;
}

void run_probe(const std::string& name, const float* x, std::int64_t n, float* y, std::int64_t m) {
  const Probe* probe = find_right_probe(name);
  if (!probe) probe = find_wrong_probe(name);
  SENTEI_CHECK(ValueError, probe, "run_probe: name must be that of a probe, got ", name);
  struct Buffer {  // released when the probe throws
    explicit Buffer(std::int64_t count)
        : bytes(static_cast<std::size_t>(count) * sizeof(float)),
          data(static_cast<float*>(device_allocate(bytes))) {}
    ~Buffer() { device_release(data); }
    std::size_t bytes;
    float* data;
  };
  const Buffer in(n), out(m);
  {
    const DeviceAccess access;
    std::copy(x, x + n, in.data);
  }
  probe->run(in.data, n, out.data, m);
  const DeviceAccess access;
  std::copy(out.data, out.data + m, y);
}

}  // namespace cusim
