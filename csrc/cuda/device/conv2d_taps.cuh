// Which pixels and taps meet, for one axis of the image.
//
// Forward: output i reads x at i stride - padding + t dilation for taps t = 0 .. R-1. Input
// gradient: input h gets a share of output p by tap r where h + padding - r dilation = p stride.
// Inputs h = pixel + i stride of one phase (one remainder) all meet the same taps r = tap +
// t tap_step, at p = base + i - t move': so a phase is a small dense convolution, without inserted
// zeros. Both have the form: element i, tap t reads at base + i base_step + t move.
#pragma once
#include "cuda/device/fast_divide.cuh"

namespace sentei::cuda {

struct ConvAxis {
  int read, written;                    // sizes of what is read and what is written
  int stride, padding, dilation, taps;  // of the layer
  int tap_step;                         // stride / gcd(stride, dilation); 1 forward
  int phases;                           // min(stride, written); 1 forward
  FastDivide few, more;                 // by the two numbers of taps that a phase can have
};

struct ConvPhase {
  int pixel, pixel_step, pixels;  // what is written: pixel + i pixel_step, i < pixels
  int tap, tap_step, taps;        // rows (columns) of the filter that take part
  int base, base_step, move;

  __device__ __forceinline__ int at(int i) const { return base + i * base_step; }
};

template <bool Forward>
__device__ __forceinline__ ConvPhase conv_phase(const ConvAxis& a, int phase) {
  if constexpr (Forward) return {0, 1, a.written, 0, 1, a.taps, -a.padding, a.stride, a.dilation};
  ConvPhase p = {phase, a.stride, (a.written - phase + a.stride - 1) / a.stride, 0, a.tap_step, 0,
                 0,     1,        -(a.tap_step * a.dilation / a.stride)};
  const int remainder = (phase + a.padding) % a.stride;
  const int tried = a.tap_step < a.taps ? a.tap_step : a.taps;
  while (p.tap < tried && p.tap * a.dilation % a.stride != remainder) ++p.tap;
  if (p.tap < tried) p.taps = (a.taps - p.tap + a.tap_step - 1) / a.tap_step;
  p.base = (phase + a.padding - p.tap * a.dilation) / a.stride;
  return p;
}

}  // namespace sentei::cuda
