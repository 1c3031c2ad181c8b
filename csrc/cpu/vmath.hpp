// exp, expm1, log, log1p, tanh and the logistic function for a vector of floats, to a few units in
// the last place over the whole range: range reduction, then a polynomial fitted to least largest
// error (tests/ops/test_vmath.py measures both, per tier). No overflow in between; NaN gives NaN.
#pragma once
#include "cpu/simd.hpp"

namespace sentei::cpu::SENTEI_ISA {

// Read in one place so that the bounds below are exact floats.
constexpr float kInf = __builtin_inff();
constexpr float kNaN = __builtin_nanf("");
constexpr float kLog2e = 1.44269504f;
constexpr float kLn2Hi = 0.693359375f;  // 9 bits: n * kLn2Hi is exact for |n| < 2^15
constexpr float kLn2Lo = -2.12194440e-4f;
constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: x + kRound holds round(x) in its low bits

SENTEI_INLINE vi bits_of(vf x) { return (vi)x; }
SENTEI_INLINE vf float_of(vi x) { return (vf)x; }
SENTEI_INLINE vi isplat(std::int32_t a) { return vi{} + a; }
SENTEI_INLINE vf vabs(vf x) { return float_of(bits_of(x) & 0x7FFFFFFF); }
// a where the lanes of m are all ones, else b.
SENTEI_INLINE vf select(vi m, vf a, vf b) { return m ? a : b; }
SENTEI_INLINE vf copysign(vf magnitude, vf sign) {
  return float_of((bits_of(magnitude) & 0x7FFFFFFF) |
                  (bits_of(sign) & static_cast<std::int32_t>(0x80000000)));
}
// x, or the bound, or NaN where x is NaN: vmin and vmax return their second operand then.
SENTEI_INLINE vf clamp(vf x, float lo, float hi) { return vmin(splat(hi), vmax(splat(lo), x)); }
SENTEI_INLINE vf power_of_two(vi n) { return float_of((n + 127) << 23); }  // -126 <= n <= 127

// x = n ln 2 + r with |r| <= ln(2)/2.
struct Reduced {
  vf r;
  vi n;
};
SENTEI_INLINE Reduced reduce_exp(vf x) {
  const vf t = x * splat(kLog2e) + splat(kRound);
  const vf n = t - splat(kRound);
  const vf r = fma(n, splat(-kLn2Lo), fma(n, splat(-kLn2Hi), x));
  return {r, bits_of(t) - bits_of(splat(kRound))};
}
// exp(r) - 1 on the reduced range; largest relative error of the polynomial 1e-9.
SENTEI_INLINE vf expm1_reduced(vf r) {
  vf p = splat(0x1.6db426p-10f);
  p = fma(p, r, splat(0x1.123b56p-7f));
  p = fma(p, r, splat(0x1.55545ep-5f));
  p = fma(p, r, splat(0x1.55548ep-3f));
  p = fma(p, r, splat(0.5f));
  return fma(p, r * r, r);
}

SENTEI_INLINE vf vexp(vf x) {
  const Reduced z = reduce_exp(clamp(x, -105.0f, 89.0f));
  // 2^n in two factors: the result may be subnormal or infinite where 2^n alone cannot be written.
  const vi half = z.n >> 1;
  return ((splat(1.0f) + expm1_reduced(z.r)) * power_of_two(half)) * power_of_two(z.n - half);
}

// exp(x) - 1 for x <= 0 (for positive x up to 80).
SENTEI_INLINE vf vexpm1(vf x) {
  const Reduced z = reduce_exp(clamp(x, -80.0f, 80.0f));
  const vf scale = power_of_two(z.n);
  const vf y = fma(expm1_reduced(z.r), scale, scale - splat(1.0f));
  return select(x == splat(0.0f), x, y);  // keeps -0
}

// log(x): -inf at 0, NaN below, inf at inf.
SENTEI_INLINE vf vlog(vf x) {
  const vi tiny = x < splat(0x1p-126f);
  // Without the sign, which the last lines see to: the subtraction below must not overflow.
  const vf scaled = select(tiny, vabs(x) * splat(0x1p23f), x);
  // The exponent that brings the mantissa into [sqrt(1/2), sqrt(2)).
  const vi shifted = bits_of(scaled) - 0x3F3504F3;
  const vi e = (shifted >> 23) - (tiny & 23);
  const vf f = float_of((shifted & 0x007FFFFF) + 0x3F3504F3) - splat(1.0f);
  const vf n = __builtin_convertvector(e, vf);
  const vf f2 = f * f;
  vf p = splat(-0x1.41ed50p-4f);
  p = fma(p, f, splat(0x1.07d0ccp-3f));
  p = fma(p, f, splat(-0x1.0ce08ep-3f));
  p = fma(p, f, splat(0x1.226e50p-3f));
  p = fma(p, f, splat(-0x1.54788ap-3f));
  p = fma(p, f, splat(0x1.99a596p-3f));
  p = fma(p, f, splat(-0x1.000220p-2f));
  p = fma(p, f, splat(0x1.55554ap-2f));
  const vf tail = fma(n, splat(kLn2Lo), fma(p * f, f2, splat(-0.5f) * f2));
  vf y = fma(n, splat(kLn2Hi), f + tail);
  y = select(x == splat(kInf), x, y);
  y = select(x == splat(0.0f), splat(-kInf), y);
  return select(x >= splat(0.0f), y, splat(kNaN));
}

// log(1 + z) for z >= 0.
SENTEI_INLINE vf vlog1p(vf z) {
  const vf u = splat(1.0f) + z;
  // What rounding 1 + z lost, put back to first order; from 2^25 on 1 + z is z.
  const vf lost = select(z < splat(0x1p25f), z - (u - splat(1.0f)), splat(0.0f));
  return select(z == splat(0.0f), z, vlog(u) + lost / u);
}

SENTEI_INLINE vf vtanh(vf x) {
  const vf t = vexpm1(splat(-2.0f) * vabs(x));
  return copysign(select(x == x, t / (t + splat(2.0f)), x), x);
}

// 1 / (1 + exp(-x)), from exp(-|x|), which cannot overflow.
SENTEI_INLINE vf vlogistic(vf x) {
  const vf e = vexp(float_of(bits_of(x) | static_cast<std::int32_t>(0x80000000)));
  return select(x < splat(0.0f), e, splat(1.0f)) / (splat(1.0f) + e);
}

// log(1 + exp(x))
SENTEI_INLINE vf vsoftplus(vf x) {
  const vf e = vexp(float_of(bits_of(x) | static_cast<std::int32_t>(0x80000000)));
  return vmax(splat(0.0f), x) + vlog1p(e);
}

}  // namespace sentei::cpu::SENTEI_ISA
