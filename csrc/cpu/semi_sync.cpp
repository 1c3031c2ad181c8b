// Semi-synchronous update. Tasks of whole rows, about 16 Ki elements; every tensor is touched once.
// Without momentum 12 bytes move per element of an active row and none of the others; with
// momentum 20 per active, 16 per idle element.
#include "kernels/semi_sync.hpp"

#include "core/parallel.hpp"
#include "cpu/simd.hpp"

namespace sentei::cpu::SENTEI_ISA {

using namespace sentei::kernels;
namespace {

constexpr std::int64_t kBlock = 16384;

struct Scalars {
  vf lr, momentum, decay;
};

SENTEI_INLINE void plain_row(std::int64_t n, float* w, const float* dw, const Scalars& s) {
  const auto next = [&](vf w_, vf g_) { return w_ - s.lr * fma(s.decay, w_, g_); };
  std::int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) store(w + i, next(load(w + i), load(dw + i)));
  if (i < n) {
    const int m = static_cast<int>(n - i);
    store_n(w + i, next(load_n(w + i, m), load_n(dw + i, m)), m);
  }
}

SENTEI_INLINE void active_row(std::int64_t n, float* w, const float* dw, float* v,
                              const Scalars& s) {
  const auto change = [&](vf w_, vf g_, vf v_) {
    return s.momentum * v_ - s.lr * fma(s.decay, w_, g_);
  };
  std::int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    const vf w_ = load(w + i), v_ = change(w_, load(dw + i), load(v + i));
    store(v + i, v_);
    store(w + i, w_ + v_);
  }
  if (i < n) {
    const int m = static_cast<int>(n - i);
    const vf w_ = load_n(w + i, m), v_ = change(w_, load_n(dw + i, m), load_n(v + i, m));
    store_n(v + i, v_, m);
    store_n(w + i, w_ + v_, m);
  }
}

SENTEI_INLINE void idle_row(std::int64_t n, float* w, float* v, const Scalars& s) {
  std::int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    const vf v_ = s.momentum * load(v + i);
    store(v + i, v_);
    store(w + i, load(w + i) + v_);
  }
  if (i < n) {
    const int m = static_cast<int>(n - i);
    const vf v_ = s.momentum * load_n(v + i, m);
    store_n(v + i, v_, m);
    store_n(w + i, load_n(w + i, m) + v_, m);
  }
}

void update(const SemiSyncRows& r, float* w, const float* dw, float* v, const float* lr,
            float momentum, float decay) {
  const Scalars s{splat(*lr), splat(momentum), splat(decay)};
  const std::int64_t group = r.wide ? *static_cast<const std::int64_t*>(r.group)
                                    : *static_cast<const std::int32_t*>(r.group);
  const std::int32_t* const active = r.rows + r.offsets[group];
  const std::int64_t active_count = r.offsets[group + 1] - r.offsets[group];
  const std::int64_t width = r.width, per_task = imax(1, kBlock / imax(1, width));
  if (!v) {
    parallel_for(ceil_div(active_count, per_task), [&](std::int64_t task) {
      const std::int64_t end = imin(active_count, (task + 1) * per_task);
      for (std::int64_t k = task * per_task; k < end; ++k) {
        const std::int64_t row = active[k];
        plain_row(width, w + row * width, dw + (r.compact ? k : row) * width, s);
      }
    });
    return;
  }
  parallel_for(ceil_div(r.count, per_task), [&](std::int64_t task) {
    const std::int64_t end = imin(r.count, (task + 1) * per_task);
    for (std::int64_t row = task * per_task; row < end; ++row) {
      const std::int64_t k = r.place[row], at = row * width;
      if (k < 0)
        idle_row(width, w + at, v + at, s);
      else
        active_row(width, w + at, dw + (r.compact ? k : row) * width, v + at, s);
    }
  });
}

void advance(void* counter, bool wide, std::int64_t modulo) {
  const auto next = [=](std::int64_t now) { return modulo ? (now + 1) % modulo : now + 1; };
  if (wide) {
    auto* const c = static_cast<std::int64_t*>(counter);
    *c = next(*c);
  } else {
    auto* const c = static_cast<std::int32_t*>(counter);
    *c = static_cast<std::int32_t>(next(*c));
  }
}

}  // namespace

extern const SemiSyncKernels semi_sync_kernels;
const SemiSyncKernels semi_sync_kernels = {update, advance};

}  // namespace sentei::cpu::SENTEI_ISA
