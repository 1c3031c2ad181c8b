#pragma once
#include <cstdint>

namespace sentei::kernels {

// Sizes of x (N, H, W, C) and y (N, P, Q, C), the window, and how it moves.
struct Pool2d {
  std::int64_t N, H, W, C, P, Q, kh, kw, sh, sw, ph, pw;
};

}  // namespace sentei::kernels
