// sum[k] = sum over rows of a[row][k]. One pass over a (4 bytes per element), then the slabs'
// partials; order and division of labour as device/columns.cuh has them.
#include "cuda/device/columns.cuh"
#include "cuda/table.cuh"
#include "kernels/column_sum.hpp"

namespace sentei::cuda {
namespace {

constexpr int kBatch = 8;

template <int V>
struct ColumnSum {
  static constexpr int kSums = 1;
  struct None {};
  const float* a;

  __device__ None column(const Columns&, std::int64_t) const { return {}; }
  __device__ None begin(std::int64_t, int) const { return {}; }
  __device__ Vec<V> load(std::int64_t i, int live) const { return cuda::load<V>(a + i, live); }
  __device__ void add(None, None, const Vec<V>& x, std::int64_t, int, float (&s)[1][V]) const {
#pragma unroll
    for (int e = 0; e < V; ++e) s[0][e] += x.v[e];
  }
  __device__ void end(None, None, int, int, const float (&s)[1][V], double (&S)[1][V]) const {
#pragma unroll
    for (int e = 0; e < V; ++e) S[0][e] += s[0][e];
  }
};

struct StoreSum {
  float* sum;
  __device__ void operator()(std::int64_t c, const double (&S)[1]) const {
    sum[c] = static_cast<float>(S[0]);
  }
};

std::size_t workspace(std::int64_t rows, std::int64_t columns) {
  if (columns == 0) return 0;
  return static_cast<std::size_t>(partial_doubles(rows, columns, 1, kBatch)) * sizeof(double);
}

template <int V>
void run_as(std::int64_t rows, std::int64_t columns, const float* a, float* sum, double* partials) {
  reduce_columns<V, kBatch>("column_sum_kernel", rows, columns, ColumnSum<V>{a}, partials,
                            "column_sum_finish_kernel", StoreSum{sum});
}

void run(std::int64_t rows, std::int64_t columns, const float* a, float* sum, void* workspace) {
  (aligned_to_vectors(a) ? run_as<4> : run_as<1>)(rows, columns, a, sum,
                                                  static_cast<double*>(workspace));
}

}  // namespace
}  // namespace sentei::cuda
SENTEI_CUDA_TABLE(ColumnSumKernels, column_sum_kernels, workspace, run)
