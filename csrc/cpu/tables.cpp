// For each op the table of the active instruction-set tier: one line a table.
#include "cpu/isa.hpp"
#include "kernels/activations.hpp"
#include "kernels/add.hpp"
#include "kernels/avg_pool2d.hpp"
#include "kernels/batch_norm.hpp"
#include "kernels/batch_norm_add.hpp"
#include "kernels/batch_norm_join.hpp"
#include "kernels/batch_norm_pool.hpp"
#include "kernels/channel_scale.hpp"
#include "kernels/concat.hpp"
#include "kernels/cross_entropy.hpp"
#include "kernels/discriminant_penalty.hpp"
#include "kernels/distillation.hpp"
#include "kernels/dropout.hpp"
#include "kernels/gate.hpp"
#include "kernels/gather_channels.hpp"
#include "kernels/losses.hpp"
#include "kernels/max_pool2d.hpp"
#include "kernels/maxout.hpp"
#include "kernels/optimizers.hpp"
#include "kernels/pad2d.hpp"
#include "kernels/prelu.hpp"
#include "kernels/score_from_gradients.hpp"
#include "kernels/scores.hpp"
#include "kernels/semi_sync.hpp"
#include "kernels/semi_sync_adaptive.hpp"
#include "kernels/semi_sync_lazy.hpp"
#include "kernels/softmax.hpp"
#include "kernels/sparse_penalty.hpp"

namespace sentei::cpu {

using namespace sentei::kernels;

SENTEI_PICK_TIER(ActivationKernels, activation_kernels)
SENTEI_PICK_TIER(AddKernels, add_kernels)
SENTEI_PICK_TIER(AvgPool2dKernels, avg_pool2d_kernels)
SENTEI_PICK_TIER(BatchNormKernels, batch_norm_kernels)
SENTEI_PICK_TIER(BatchNormAddKernels, batch_norm_add_kernels)
SENTEI_PICK_TIER(BatchNormJoinKernels, batch_norm_join_kernels)
SENTEI_PICK_TIER(BatchNormPoolKernels, batch_norm_pool_kernels)
SENTEI_PICK_TIER(ChannelScaleKernels, channel_scale_kernels)
SENTEI_PICK_TIER(ConcatKernels, concat_kernels)
SENTEI_PICK_TIER(CrossEntropyKernels, cross_entropy_kernels)
SENTEI_PICK_TIER(DiscriminantPenaltyKernels, discriminant_penalty_kernels)
SENTEI_PICK_TIER(DistillationKernels, distillation_kernels)
SENTEI_PICK_TIER(DropoutKernels, dropout_kernels)
SENTEI_PICK_TIER(GateKernels, gate_kernels)
SENTEI_PICK_TIER(GatherChannelsKernels, gather_channels_kernels)
SENTEI_PICK_TIER(LossKernels, loss_kernels)
SENTEI_PICK_TIER(MaxPool2dKernels, max_pool2d_kernels)
SENTEI_PICK_TIER(MaxoutKernels, maxout_kernels)
SENTEI_PICK_TIER(OptimizerKernels, optimizer_kernels)
SENTEI_PICK_TIER(Pad2dKernels, pad2d_kernels)
SENTEI_PICK_TIER(PreluKernels, prelu_kernels)
SENTEI_PICK_TIER(ScoreFromGradientsKernels, score_from_gradients_kernels)
SENTEI_PICK_TIER(ScoreKernels, score_kernels)
SENTEI_PICK_TIER(SemiSyncKernels, semi_sync_kernels)
SENTEI_PICK_TIER(SemiSyncAdaptiveKernels, semi_sync_adaptive_kernels)
SENTEI_PICK_TIER(SemiSyncLazyKernels, semi_sync_lazy_kernels)
SENTEI_PICK_TIER(SoftmaxKernels, softmax_kernels)
SENTEI_PICK_TIER(SparsePenaltyKernels, sparse_penalty_kernels)

}  // namespace sentei::cpu
