// The kernel tables of this backend by name: a line each.
#include "cuda/tables.hpp"

#include <cstring>

namespace sentei::cuda {

#define SENTEI_CUDA_TABLES(X)     \
  X(activation_kernels)           \
  X(add_kernels)                  \
  X(avg_pool2d_kernels)           \
  X(batch_norm_add_kernels)       \
  X(batch_norm_join_kernels)      \
  X(batch_norm_kernels)           \
  X(batch_norm_pool_kernels)      \
  X(channel_scale_kernels)        \
  X(column_sum_kernels)           \
  X(concat_kernels)               \
  X(conv2d_kernels)               \
  X(conv2d_statistics_kernels)    \
  X(cross_entropy_kernels)        \
  X(discriminant_penalty_kernels) \
  X(distillation_kernels)         \
  X(dropout_kernels)              \
  X(fill_kernels)                 \
  X(gate_kernels)                 \
  X(gather_batch_kernels)         \
  X(gather_channels_kernels)      \
  X(linear_kernels)               \
  X(linear_lazy_kernels)          \
  X(loss_kernels)                 \
  X(max_pool2d_kernels)           \
  X(maxout_kernels)               \
  X(optimizer_kernels)            \
  X(pad2d_kernels)                \
  X(prelu_kernels)                \
  X(record_kernels)               \
  X(score_from_gradients_kernels) \
  X(score_kernels)                \
  X(semi_sync_kernels)            \
  X(semi_sync_adaptive_kernels)   \
  X(semi_sync_lazy_kernels)       \
  X(softmax_kernels)              \
  X(sparse_penalty_kernels)

#define SENTEI_DECLARE(table) extern const void* const table##_entry;
SENTEI_CUDA_TABLES(SENTEI_DECLARE)

const void* find_table(const char* name) {
#define SENTEI_FIND(table) \
  if (std::strcmp(name, #table) == 0) return table##_entry;
  SENTEI_CUDA_TABLES(SENTEI_FIND)
  return nullptr;
}

}  // namespace sentei::cuda
