// y = max over the pieces of a unit, index = the first piece that has it; backward writes dy there
// and 0 elsewhere. A vector holds one piece of kLanes neighbouring units: 4 pieces + 5 bytes moved
// per unit.
#include "kernels/maxout.hpp"

#include "core/parallel.hpp"
#include "cpu/vmath.hpp"

namespace sentei::cpu::SENTEI_ISA {

using namespace sentei::kernels;
namespace {

constexpr std::int64_t kUnits = 8192;  // per task
typedef std::uint8_t vb __attribute__((vector_size(kLanes)));

// x[0], x[stride], ..., for m units; the other lanes repeat the first.
SENTEI_INLINE vf strided(const float* x, std::int64_t stride, int m) {
  float t[kLanes];
  for (int i = 0; i < kLanes; ++i) t[i] = x[i < m ? i * stride : 0];
  return load(t);
}

SENTEI_INLINE vf strided(const float* x, std::int64_t stride) {
#if defined(__AVX512F__)
  vi lane;
  for (int i = 0; i < kLanes; ++i) lane[i] = i;
  const vi offset = lane * static_cast<std::int32_t>(stride);
  return (vf)_mm512_mask_i32gather_ps(_mm512_setzero_ps(), 0xFFFF, (__m512i)offset, x, 4);
#else
  return strided(x, stride, kLanes);
#endif
}

struct Best {
  vf value;
  vi piece;
};
template <class Read>
SENTEI_INLINE Best best_of(std::int64_t pieces, const Read& read) {
  Best best{read(0), vi{}};
  for (std::int64_t p = 1; p < pieces; ++p) {
    const vf v = read(p);
    // Larger, or the first NaN.
    const vi take = (v > best.value) | ((v != v) & (best.value == best.value));
    best.value = select(take, v, best.value);
    best.piece = take ? isplat(static_cast<std::int32_t>(p)) : best.piece;
  }
  return best;
}

void forward(std::int64_t units, std::int64_t pieces, const float* x, float* y,
             std::uint8_t* index) {
  parallel_for(ceil_div(units, kUnits), [=](std::int64_t task) {
    const std::int64_t end = imin(units, (task + 1) * kUnits);
    std::int64_t u = task * kUnits;
    for (; u + kLanes <= end; u += kLanes) {
      const float* from = x + u * pieces;
      const Best best = best_of(pieces, [=](std::int64_t p) { return strided(from + p, pieces); });
      store(y + u, best.value);
      const vb bytes = __builtin_convertvector(best.piece, vb);
      std::memcpy(index + u, &bytes, sizeof bytes);
    }
    if (u < end) {
      const int m = static_cast<int>(end - u);
      const float* from = x + u * pieces;
      const Best best =
          best_of(pieces, [=](std::int64_t p) { return strided(from + p, pieces, m); });
      store_n(y + u, best.value, m);
      const vb bytes = __builtin_convertvector(best.piece, vb);
      std::memcpy(index + u, &bytes, static_cast<std::size_t>(m));
    }
  });
}

void backward(std::int64_t units, std::int64_t pieces, const float* dy, const std::uint8_t* index,
              float* dx) {
  parallel_for(ceil_div(units, kUnits), [=](std::int64_t task) {
    const std::int64_t begin = task * kUnits, end = imin(units, (task + 1) * kUnits);
    // 512 units at a time: what is cleared is still in the first cache when dy goes in.
    for (std::int64_t u = begin; u < end; u += 512) {
      const std::int64_t stop = imin(end, u + 512);
      std::memset(dx + u * pieces, 0, static_cast<std::size_t>((stop - u) * pieces) * 4);
      for (std::int64_t i = u; i < stop; ++i) {
        // An index that no forward pass wrote must not reach outside dx.
        const std::int64_t p = imin(index[i], pieces - 1);
        dx[i * pieces + p] = dy[i];
      }
    }
  });
}

}  // namespace

extern const MaxoutKernels maxout_kernels;
const MaxoutKernels maxout_kernels = {forward, backward};

}  // namespace sentei::cpu::SENTEI_ISA
