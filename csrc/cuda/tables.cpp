// The kernel tables of this backend by name: a line each.
#include "cuda/tables.hpp"

#include <cstring>

namespace sentei::cuda {

#define SENTEI_CUDA_TABLES(X) X(add_kernels) X(conv2d_kernels) X(linear_kernels)

#define SENTEI_DECLARE(table) extern const void* const table##_entry;
SENTEI_CUDA_TABLES(SENTEI_DECLARE)

const void* find_table(const char* name) {
#define SENTEI_FIND(table) \
  if (std::strcmp(name, #table) == 0) return table##_entry;
  SENTEI_CUDA_TABLES(SENTEI_FIND)
  return nullptr;
}

}  // namespace sentei::cuda
