// out = w + c v, for those who need the weight itself.
#pragma once
#include "kernels/semi_sync_lazy.hpp"

namespace sentei::cuda {

void semi_sync_lazy_weight(std::int64_t rows, std::int64_t width, const kernels::LazyWeight& weight,
                           float* out);

}  // namespace sentei::cuda
