// The contents page of sentei._core.
#include "bindings/bindings.hpp"
#include "cpu/isa.hpp"

namespace sentei::bindings {

PYBIND11_MODULE(_core, m) {
  m.doc() = "Compiled part of sentei: tensors, threads and the checked operations.";
  bind_errors(m);
  cpu::active_isa();  // a wrong SENTEI_ISA is refused at import, not in the first kernel
  bind_tensor(m);
  bind_backend(m);
  bind_runtime(m);
  bind_add(m);
  bind_bias(m);
  bind_conv2d(m);
  bind_batch_norm(m);
  bind_batch_norm_fused(m);
  bind_channel_scale(m);
  bind_concat(m);
  bind_pad2d(m);
  bind_pool2d(m);
  bind_fill(m);
  bind_gate(m);
  bind_gather_batch(m);
  bind_record(m);
  bind_linear(m);
  bind_linear_lazy(m);
  bind_cross_entropy(m);
  bind_losses(m);
  bind_scores(m);
  bind_score_from_gradients(m);
  bind_semi_sync(m);
  bind_gather_channels(m);
  bind_semi_sync_adaptive(m);
  bind_semi_sync_lazy(m);
  bind_optimizers(m);
  bind_vmath(m);
  bind_activations(m);
  bind_prelu(m);
  bind_softmax(m);
  bind_dropout(m);
  bind_maxout(m);
  bind_sparse_penalty(m);
  bind_discriminant_penalty(m);
  bind_distillation(m);
}

}  // namespace sentei::bindings
