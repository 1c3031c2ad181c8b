// value = lam sum_k W_k / T_k and its gradient 2 lam / (N T_k) [(y - m) - (W_k / T_k)(y - mu_k)].
// A block owns 32 columns (lanes) and 32 rows at a time: sums and counts, means, then squares about
// them, all in doubles; each thread walks its rows in order, then the 32 are added in order. y is
// read from memory once (the second pass, and the third of backward, come from cache): 4 bytes per
// element forward, 8 backward. A single block (K <= 32) adds the ratios itself, else a second
// launch does, classes in order. A class that is absent or alone has W = T and ratio 1 by the
// arithmetic itself. A label out of range makes everything NaN.
#include "cuda/launch.cuh"
#include "cuda/table.cuh"
#include "kernels/discriminant_penalty.hpp"

namespace sentei::cuda {
namespace {

constexpr int kColumns = 32, kRows = 32, kThreads = kColumns * kRows;

struct Stats {
  double mean, own, rest, within, total;
  __device__ double ratio() const { return total == 0 ? 1.0 : within / total; }
};

// The sum over the rows of a block, in order, for every thread of the column.
__device__ __forceinline__ double column_sum(double v, double* slots) {
  slots[threadIdx.x] = v;
  __syncthreads();
  double sum = 0;
#pragma unroll 8
  for (int i = 0; i < kRows; ++i) sum += slots[i * kColumns + threadIdx.x % kColumns];
  __syncthreads();
  return sum;
}

__device__ __forceinline__ double value_at(const float* y, std::int64_t k, std::int64_t i,
                                           std::int64_t c, std::int64_t label) {
  const bool known = label >= 0 && label < k;
  return static_cast<double>(known ? y[i * k + c] : __uint_as_float(0x7fffffffu));
}

// A column with nothing to separate gets within = total = 0.
__device__ __forceinline__ Stats stats_of(std::int64_t n, std::int64_t k, std::int64_t c,
                                          const float* y, const std::int64_t* labels,
                                          double* slots) {
  const std::int64_t first = c < k ? threadIdx.x / kColumns : n;
  double all = 0, own = 0, count = 0;
  for (std::int64_t i = first; i < n; i += kRows) {
    const std::int64_t label = labels[i];
    const double v = value_at(y, k, i, c, label);
    all += v;
    if (label == c) {
      own += v;
      count += 1;
    }
  }
  all = column_sum(all, slots);
  own = column_sum(own, slots);
  count = column_sum(count, slots);
  Stats s{};
  const double samples = static_cast<double>(n), others = samples - count;
  s.mean = n ? all / samples : 0;
  s.rest = others > 0 ? (all - own) / others : s.mean;
  s.own = count > 0 ? own / count : s.mean;
  double within = 0, total = 0;
  for (std::int64_t i = first; i < n; i += kRows) {
    const std::int64_t label = labels[i];
    const double v = value_at(y, k, i, c, label);
    const double a = v - s.mean, b = v - (label == c ? s.own : s.rest);
    total = fma(a, a, total);
    within = fma(b, b, within);
  }
  total = column_sum(total, slots);
  within = column_sum(within, slots);
  s.total = n ? total / samples : 0;
  s.within = n ? within / samples : 0;
  const double square = s.mean * s.mean;
  if (s.total <= 1e-12 * (square > 1 ? square : 1)) s.within = s.total = 0;
  return s;
}

__global__ void __launch_bounds__(kThreads)
    discriminant_penalty_forward_kernel(std::int64_t n, std::int64_t k, const float* y,
                                        const std::int64_t* labels, double lam, float* value,
                                        float* within, float* total, float* ratio, double* ratios) {
  SENTEI_SHARED(double, slots, [kThreads]);
  const std::int64_t c = std::int64_t{blockIdx.x} * kColumns + threadIdx.x % kColumns;
  const Stats s = stats_of(n, k, c, y, labels, slots);
  if (threadIdx.x < kColumns && c < k) {
    within[c] = static_cast<float>(s.within);
    total[c] = static_cast<float>(s.total);
    ratio[c] = static_cast<float>(s.ratio());
    ratios[c] = s.ratio();
  }
  if (gridDim.x > 1) return;  // all threads alike
  __syncthreads();
  if (threadIdx.x == 0) {
    double sum = 0;
    for (std::int64_t i = 0; i < k; ++i) sum += ratios[i];
    *value = static_cast<float>(lam * sum);
  }
}

// Left to one warp: lanes take classes in turn, then lane 0 adds the lanes in order.
__global__ void __launch_bounds__(32)
    discriminant_penalty_value_kernel(std::int64_t k, const double* ratios, double lam,
                                      float* value) {
  SENTEI_SHARED(double, slots, [32]);
  double sum = 0;
  for (std::int64_t i = threadIdx.x; i < k; i += 32) sum += ratios[i];
  slots[threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.x == 0) {
    double all = 0;
    for (int i = 0; i < 32; ++i) all += slots[i];
    *value = static_cast<float>(lam * all);
  }
}

// dy may be y: a thread writes what it alone reads.
__global__ void __launch_bounds__(kThreads)
    discriminant_penalty_backward_kernel(std::int64_t n, std::int64_t k, const float* y,
                                         const std::int64_t* labels, const float* dvalue,
                                         double lam, float* dy) {
  SENTEI_SHARED(double, slots, [kThreads]);
  const std::int64_t c = std::int64_t{blockIdx.x} * kColumns + threadIdx.x % kColumns;
  const Stats s = stats_of(n, k, c, y, labels, slots);
  const double scale = 2 * lam * static_cast<double>(*dvalue);
  const double factor = s.total == 0 ? 0 : scale / (static_cast<double>(n) * s.total);
  const double ratio = s.ratio();
  for (std::int64_t i = c < k ? threadIdx.x / kColumns : n; i < n; i += kRows) {
    const std::int64_t label = labels[i];
    const double v = value_at(y, k, i, c, label);
    const double bracket = fma(-ratio, v - s.mean, v - (label == c ? s.own : s.rest));
    dy[i * k + c] = static_cast<float>(factor * bracket);
  }
}

void forward(std::int64_t n, std::int64_t k, const float* y, const std::int64_t* labels, double lam,
             float* value, float* within, float* total, float* ratio, double* scratch) {
  const auto blocks = static_cast<unsigned>(k ? ceil_div(k, kColumns) : 1);
  launch("discriminant_penalty_forward_kernel", discriminant_penalty_forward_kernel, blocks,
         kThreads, 0, n, k, y, labels, lam, value, within, total, ratio, scratch);
  if (blocks > 1)
    launch("discriminant_penalty_value_kernel", discriminant_penalty_value_kernel, 1, 32, 0, k,
           scratch, lam, value);
}

void backward(std::int64_t n, std::int64_t k, const float* y, const std::int64_t* labels,
              const float* dvalue, double lam, float* dy, double*) {
  launch("discriminant_penalty_backward_kernel", discriminant_penalty_backward_kernel,
         static_cast<unsigned>(ceil_div(k, kColumns)), kThreads, 0, n, k, y, labels, dvalue, lam,
         dy);
}

}  // namespace
}  // namespace sentei::cuda
SENTEI_CUDA_TABLE(DiscriminantPenaltyKernels, discriminant_penalty_kernels, forward, backward)
