#include "ops/conv2d.hpp"

namespace sentei {

Conv2dGeometry conv2d_geometry(const std::int64_t x[4], const std::int64_t w[4], int stride_h,
                               int stride_w, int padding_h, int padding_w, int dilation_h,
                               int dilation_w) {
  Conv2dGeometry g{};
  g.N = x[0], g.H = x[1], g.W = x[2], g.C = x[3];
  g.K = w[0], g.R = w[1], g.S = w[2];
  g.G = g.C / w[3];
  g.P = (g.H + 2 * padding_h - dilation_h * (g.R - 1) - 1) / stride_h + 1;
  g.Q = (g.W + 2 * padding_w - dilation_w * (g.S - 1) - 1) / stride_w + 1;
  g.stride_h = stride_h, g.stride_w = stride_w;
  g.padding_h = padding_h, g.padding_w = padding_w;
  g.dilation_h = dilation_h, g.dilation_w = dilation_w;
  return g;
}

}  // namespace sentei
