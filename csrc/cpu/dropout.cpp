// Dropout whose mask is drawn anew wherever it is wanted: element i is number i of a Philox stream
// (lane i mod 4 of counter i / 4), so the gradient needs no stored mask and nothing depends on the
// split into tasks. 8 bytes moved and about 2 vector instructions of Philox per element.
#include "kernels/dropout.hpp"

#include "cpu/elementwise.hpp"
#include "cpu/vmath.hpp"
#include "cpu/vphilox.hpp"

namespace sentei::cpu::SENTEI_ISA {

using namespace sentei::kernels;
namespace {

// out[i] = make(i, m, factor or 0), for vectors of m elements from i on.
template <class Make>
SENTEI_INLINE void masked(std::int64_t n, const std::int64_t* rng, float* out, std::uint32_t stream,
                          std::uint32_t threshold, float factor, const Make& make) {
  const PhiloxKeys keys =
      philox_keys(static_cast<std::uint64_t>(rng[0]), stream, static_cast<std::uint32_t>(rng[1]));
  const vi limit = isplat(static_cast<std::int32_t>(threshold));
  const vi bits = bits_of(splat(factor));
  parallel_for(ceil_div(n, kElementBlock), [=, &keys](std::int64_t task) {
    const std::int64_t end = imin(n, (task + 1) * kElementBlock);
    std::int64_t i = task * kElementBlock;
    typedef std::uint32_t vu __attribute__((vector_size(kLanes * 4)));
    const auto kept = [=](vi words) { return float_of(((vi)((vu)words >> 8) < limit) & bits); };
    for (; i + 2 * kLanes <= end; i += 2 * kLanes) {
      const PhiloxWords w = philox_words(keys, i / 4);
      store(out + i, make(i, kLanes, kept(w.low)));
      store(out + i + kLanes, make(i + kLanes, kLanes, kept(w.high)));
    }
    if (i < end) {
      const PhiloxWords w = philox_words(keys, i / 4);
      const int m = static_cast<int>(end - i);
      const int m0 = m < kLanes ? m : kLanes;
      store_n(out + i, make(i, m0, kept(w.low)), m0);
      if (m > kLanes)
        store_n(out + i + kLanes, make(i + kLanes, m - kLanes, kept(w.high)), m - kLanes);
    }
  });
}

void forward(std::int64_t n, const float* x, const std::int64_t* rng, float* y,
             std::uint32_t stream, std::uint32_t threshold, float factor) {
  masked(n, rng, y, stream, threshold, factor, [=](std::int64_t i, int m, vf f) {
    return (m == kLanes ? load(x + i) : load_n(x + i, m)) * f;
  });
}

void mask(std::int64_t n, const std::int64_t* rng, float* out, std::uint32_t stream,
          std::uint32_t threshold) {
  masked(n, rng, out, stream, threshold, 1.0f, [](std::int64_t, int, vf f) { return f; });
}

void scale(std::int64_t n, const float* x, float* y, float factor) {
  map_elements(n, x, y, [=](vf v) { return v * splat(factor); });
}

void mask_multiply(std::int64_t n, const float* x, const float* mask, float* y, float factor) {
  map_pairs(n, x, mask, y, [=](vf v, vf m) { return v * (m * splat(factor)); });
}

}  // namespace

extern const DropoutKernels dropout_kernels;
const DropoutKernels dropout_kernels = {forward, mask, scale, mask_multiply};

}  // namespace sentei::cpu::SENTEI_ISA
