#include "cpu/column_sum.hpp"

#include "core/parallel.hpp"
#include "cpu/gemm.hpp"

namespace sentei::cpu::SENTEI_ISA {
namespace {

using std::int64_t;

constexpr int64_t kRows = 128;  // of one chunk

template <int V>
SENTEI_NOINLINE void add_rows(const float* a, int64_t rows, int64_t lda, float* out, int last) {
  vf acc[2][V];
#pragma GCC unroll 4
  for (int v = 0; v < V; ++v) acc[0][v] = vf{}, acc[1][v] = vf{};
  int64_t i = 0;
  for (; i + 2 <= rows; i += 2) {
    const float *even = a + i * lda, *odd = even + lda;
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      const int m = v == V - 1 ? last : kLanes;
      acc[0][v] += load_n(even + kLanes * v, m);
      acc[1][v] += load_n(odd + kLanes * v, m);
    }
  }
#pragma GCC unroll 4
  for (int v = 0; v < V; ++v) {
    const int m = v == V - 1 ? last : kLanes;
    if (i < rows) acc[0][v] += load_n(a + i * lda + kLanes * v, m);
    float* o = out + kLanes * v;
    store_n(o, load_n(o, m) + (acc[0][v] + acc[1][v]), m);
  }
}

void run(int64_t rows, int64_t columns, int64_t slots, const float* a, float* sum,
         float* workspace) {
  const int64_t stride = padded(columns);
  parallel_for(slots, [&](int64_t slot) {
    float* out = workspace + slot * stride;
    for (int64_t k = 0; k < stride; ++k) out[k] = 0.0f;
    const Range range = even_part(rows, slots, slot);
    for (int64_t i = range.begin; i < range.end; i += kRows) {
      const int64_t n = imin(kRows, range.end - i);
      for_blocks(0, columns, [&](int64_t k, auto v, int last) {
        add_rows<decltype(v)::value>(a + i * columns + k, n, columns, out + k, last);
      });
    }
  });
  for (int64_t k = 0; k < columns; ++k) {
    float total = 0.0f;
    for (int64_t slot = 0; slot < slots; ++slot) total += workspace[slot * stride + k];
    sum[k] = total;
  }
}

}  // namespace

extern const ColumnSumTierKernels column_sum_tier_kernels;
const ColumnSumTierKernels column_sum_tier_kernels = {run};

}  // namespace sentei::cpu::SENTEI_ISA
