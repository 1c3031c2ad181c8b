// Two-dimensional convolution: the contract. x (N, H, W, C), w (K, R, S, C / G), y (N, P, Q, K).
#pragma once
#include <cstdint>

namespace sentei {

struct Conv2dGeometry {
  std::int64_t N, H, W, C;  // x
  std::int64_t K, R, S;     // filters
  std::int64_t P, Q;        // rows and columns of y
  std::int64_t G;           // groups = C / (channels of one filter)
  int stride_h, stride_w, padding_h, padding_w, dilation_h, dilation_w;

  std::int64_t group_channels() const { return C / G; }
  std::int64_t group_filters() const { return K / G; }
  // One filter per channel: no sum over channels, so it has kernels of its own.
  bool depthwise() const { return G > 1 && C == G && K == G; }
};

inline bool operator==(const Conv2dGeometry& a, const Conv2dGeometry& b) {
  return a.N == b.N && a.H == b.H && a.W == b.W && a.C == b.C && a.K == b.K && a.R == b.R &&
         a.S == b.S && a.G == b.G && a.stride_h == b.stride_h && a.stride_w == b.stride_w &&
         a.padding_h == b.padding_h && a.padding_w == b.padding_w && a.dilation_h == b.dilation_h &&
         a.dilation_w == b.dilation_w;
}

// The only shape rule: P = floor((H + 2 ph - dh (R - 1) - 1) / sh) + 1, and Q likewise.
Conv2dGeometry conv2d_geometry(const std::int64_t x[4], const std::int64_t w[4], int stride_h,
                               int stride_w, int padding_h, int padding_w, int dilation_h,
                               int dilation_w);

}  // namespace sentei
