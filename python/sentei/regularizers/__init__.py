"""Terms added to the loss: settings that append scalars to a graph, by names of layers."""

from sentei.regularizers.activity import LogActivity
from sentei.regularizers.base import Regularizer
from sentei.regularizers.gates import OpenGates
from sentei.regularizers.logits import Discriminant

KINDS: tuple[type, ...] = (LogActivity, Discriminant, OpenGates)

__all__ = ["KINDS", "Discriminant", "LogActivity", "OpenGates", "Regularizer"]
