// Adaptive updates of the active rows: neighbouring rows of the group are one piece of memory, and
// the update of a whole parameter does each piece. Nothing of the other rows is read or written.
#include "kernels/semi_sync_adaptive.hpp"

#include "cpu/simd.hpp"

namespace sentei::cpu::SENTEI_ISA {

using namespace sentei::kernels;

extern const OptimizerKernels optimizer_kernels;

namespace {

// piece(elements, offset in w, offset in dw) for every run of neighbouring rows that `same` joins.
template <class Same, class Piece>
void pieces(const SemiSyncRows& r, const Same& same, const Piece& piece) {
  const std::int64_t group = r.wide ? *static_cast<const std::int64_t*>(r.group)
                                    : *static_cast<const std::int32_t*>(r.group);
  const std::int32_t* const active = r.rows + r.offsets[group];
  const std::int64_t count = r.offsets[group + 1] - r.offsets[group];
  for (std::int64_t k = 0, end = 0; k < count; k = end) {
    for (end = k + 1; end < count && active[end] == active[end - 1] + 1; ++end)
      if (!same(active[k], active[end])) break;
    const std::int64_t row = active[k];
    piece(row, end - k, row * r.width, (r.compact ? k : row) * r.width);
  }
}

bool always(std::int32_t, std::int32_t) { return true; }

void adagrad(const SemiSyncRows& r, float* w, const float* dw, float* h, const float* lr, float eps,
             float decay) {
  pieces(r, always, [&](std::int64_t, std::int64_t n, std::int64_t at, std::int64_t from) {
    optimizer_kernels.adagrad(n * r.width, w + at, dw + from, h + at, lr, eps, decay);
  });
}

void rmsprop(const SemiSyncRows& r, float* w, const float* dw, float* h, const float* lr,
             float alpha, float keep, float eps, float decay) {
  pieces(r, always, [&](std::int64_t, std::int64_t n, std::int64_t at, std::int64_t from) {
    optimizer_kernels.rmsprop(n * r.width, w + at, dw + from, h + at, lr, alpha, keep, eps, decay);
  });
}

void adam(const SemiSyncRows& r, float* w, const float* dw, float* m, float* v, std::int64_t* count,
          const float* lr, const AdamScalars& s) {
  // Pruning can bring rows together that have not had the same number of updates.
  const auto same = [&](std::int32_t a, std::int32_t b) { return count[a] == count[b]; };
  pieces(r, same, [&](std::int64_t row, std::int64_t n, std::int64_t at, std::int64_t from) {
    const std::int64_t t = count[row] + 1;
    optimizer_kernels.adam(n * r.width, w + at, dw + from, m + at, v + at, &t, lr, s);
  });
  pieces(r, always, [&](std::int64_t row, std::int64_t n, std::int64_t, std::int64_t) {
    for (std::int64_t k = 0; k < n; ++k) ++count[row + k];
  });
}

}  // namespace

extern const SemiSyncAdaptiveKernels semi_sync_adaptive_kernels;
const SemiSyncAdaptiveKernels semi_sync_adaptive_kernels = {adagrad, rmsprop, adam};

}  // namespace sentei::cpu::SENTEI_ISA
