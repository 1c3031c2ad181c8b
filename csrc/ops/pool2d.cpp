#include "ops/pool2d.hpp"

#include <algorithm>

namespace sentei::ops {
namespace {

// Far above any image, far below an overflow of the products.
constexpr std::int64_t kLimit = std::int64_t{1} << 24;

std::int64_t windows(const char* op, const char* side, std::int64_t size, std::int64_t kernel,
                     std::int64_t stride, std::int64_t padding, bool ceil_mode) {
  SENTEI_CHECK(ValueError, kernel >= 1 && kernel <= kLimit, op,
               ": kernel must be at least 1 along ", side, ", got ", kernel);
  SENTEI_CHECK(ValueError, stride >= 1 && stride <= kLimit, op,
               ": stride must be at least 1 along ", side, ", got ", stride);
  SENTEI_CHECK(ValueError, padding >= 0 && padding < kernel, op,
               ": padding must be at least 0 and below the kernel's ", kernel, " along ", side,
               ", got ", padding);
  SENTEI_CHECK(ShapeError, size >= 1 && size + 2 * padding >= kernel, op, ": x must have ", side,
               " of at least ", std::max<std::int64_t>(1, kernel - 2 * padding), " for kernel ",
               kernel, " and padding ", padding, ", got ", size);
  const std::int64_t room = size + 2 * padding - kernel;
  std::int64_t n = (ceil_mode ? room + stride - 1 : room) / stride + 1;
  if (ceil_mode && (n - 1) * stride >= size + padding) --n;
  return n;
}

}  // namespace

Shape pool2d_geometry(const char* op, const Shape& x, Pair kernel, Pair stride, Pair padding,
                      bool ceil_mode) {
  SENTEI_CHECK(ShapeError, x.rank == 4, op, ": x must have shape (N, H, W, C), got ", x);
  return {x[0], windows(op, "height", x[1], kernel.h, stride.h, padding.h, ceil_mode),
          windows(op, "width", x[2], kernel.w, stride.w, padding.w, ceil_mode), x[3]};
}

}  // namespace sentei::ops
