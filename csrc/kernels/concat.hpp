#pragma once
#include <cstdint>

#include "kernels/table.hpp"

namespace sentei::kernels {

struct ConcatKernels {
  // Rows of y = rows of xs[0], xs[1], ... one after the other.
  void (*forward)(std::int64_t rows, std::int64_t count, const float* const* xs,
                  const std::int64_t* widths, float* y);
  // The first `width` columns of x (rows, C) to head, the others to rest.
  void (*split)(std::int64_t rows, std::int64_t C, std::int64_t width, const float* x, float* head,
                float* rest);
};

}  // namespace sentei::kernels
SENTEI_KERNEL_TABLE(ConcatKernels, concat_kernels)
