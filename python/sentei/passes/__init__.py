"""What is derived from a graph: shapes, gradients, memory, channels, costs, inference form."""

from sentei.passes.channels import ChannelGroups, channel_groups
from sentei.passes.costs import Costs, NodeCost, costs
from sentei.passes.fuse import fuse
from sentei.passes.fuse_statistics import fuse_statistics
from sentei.passes.fuse_updates import fuse_updates
from sentei.passes.gates import fold_gates, gate_values
from sentei.passes.grad import grad
from sentei.passes.inference import inference
from sentei.passes.memory import MemoryPlan, plan_memory
from sentei.passes.pack import pack_filters
from sentei.passes.precision import precision
from sentei.passes.shapes import infer_specs
from sentei.passes.statistics import freeze_statistics, thaw_statistics
from sentei.passes.training import fold_relu, training

__all__ = [
    "ChannelGroups",
    "Costs",
    "MemoryPlan",
    "NodeCost",
    "channel_groups",
    "costs",
    "fold_gates",
    "fold_relu",
    "freeze_statistics",
    "fuse",
    "fuse_statistics",
    "fuse_updates",
    "gate_values",
    "grad",
    "infer_specs",
    "inference",
    "pack_filters",
    "plan_memory",
    "precision",
    "thaw_statistics",
    "training",
]
