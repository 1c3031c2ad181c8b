// Semi-synchronous update with lazy momentum: 20 bytes per element of the active rows, nothing of
// the others but two scalars a group. Tasks of whole rows, about 16 Ki elements.
#include "kernels/semi_sync_lazy.hpp"

#include "core/parallel.hpp"
#include "cpu/simd.hpp"

namespace sentei::cpu::SENTEI_ISA {

using namespace sentei::kernels;
namespace {

constexpr std::int64_t kBlock = 16384;

// f(i, lanes) over [0, n), all vectors full but the last.
template <class F>
SENTEI_INLINE void for_vectors(std::int64_t n, const F& f) {
  std::int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) f(i, kLanes);
  if (i < n) f(i, static_cast<int>(n - i));
}

template <class F>
void for_rows(std::int64_t rows, std::int64_t width, const F& f) {
  const std::int64_t per_task = imax(1, kBlock / imax(1, width));
  parallel_for(ceil_div(rows, per_task), [&](std::int64_t task) {
    const std::int64_t end = imin(rows, (task + 1) * per_task);
    for (std::int64_t k = task * per_task; k < end; ++k) f(k);
  });
}

void update(const SemiSyncRows& r, float* w, const float* dw, float* v, float* coef,
            const float* lr, float momentum, float decay) {
  const std::int64_t group = r.wide ? *static_cast<const std::int64_t*>(r.group)
                                    : *static_cast<const std::int32_t*>(r.group);
  const std::int32_t* const active = r.rows + r.offsets[group];
  const std::int64_t width = r.width;
  const vf rate = splat(*lr), decays = splat(decay);
  const vf c = splat(coef[2 * group + 1]), keep = splat(momentum * coef[2 * group]);
  for_rows(r.offsets[group + 1] - r.offsets[group], width, [&](std::int64_t k) {
    float* const w_row = w + active[k] * width;
    float* const v_row = v + active[k] * width;
    const float* const g_row = dw + k * width;
    for_vectors(width, [&](std::int64_t i, int n) {
      const vf old = load_n(v_row + i, n), now = fma(c, old, load_n(w_row + i, n));
      const vf change = keep * old - rate * fma(decays, now, load_n(g_row + i, n));
      store_n(v_row + i, change, n);
      store_n(w_row + i, now + change, n);
    });
  });
  for (std::int64_t g = 0; g < r.groups; ++g) {
    coef[2 * g] = g == group ? 1.0f : coef[2 * g] * momentum;
    coef[2 * g + 1] = g == group ? 0.0f : coef[2 * g + 1] + coef[2 * g];
  }
}

void materialise(std::int64_t rows, std::int64_t width, float* w, float* v, float* coef,
                 const std::int32_t* group_of, std::int64_t groups) {
  for_rows(rows, width, [&](std::int64_t row) {
    const vf m = splat(coef[2 * group_of[row]]), c = splat(coef[2 * group_of[row] + 1]);
    float* const w_row = w + row * width;
    float* const v_row = v + row * width;
    for_vectors(width, [&](std::int64_t i, int n) {
      const vf old = load_n(v_row + i, n);
      store_n(w_row + i, fma(c, old, load_n(w_row + i, n)), n);
      store_n(v_row + i, m * old, n);
    });
  });
  for (std::int64_t g = 0; g < groups; ++g) coef[2 * g] = 1.0f, coef[2 * g + 1] = 0.0f;
}

void weight(std::int64_t rows, std::int64_t width, const LazyWeight& lazy, float* out) {
  for_rows(rows, width, [&](std::int64_t row) {
    const vf c = splat(lazy.coef[2 * lazy.group_of[row] + 1]);
    const std::int64_t at = row * width;
    for_vectors(width, [&](std::int64_t i, int n) {
      store_n(out + at + i, fma(c, load_n(lazy.v + at + i, n), load_n(lazy.w + at + i, n)), n);
    });
  });
}

}  // namespace

extern const SemiSyncLazyKernels semi_sync_lazy_kernels;
const SemiSyncLazyKernels semi_sync_lazy_kernels = {update, materialise, weight};

}  // namespace sentei::cpu::SENTEI_ISA
