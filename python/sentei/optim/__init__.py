"""Optimizers (settings that append update nodes to a graph) and schedules of the step size."""

from sentei.optim.adaptive import AdaGrad, Adam, RMSprop
from sentei.optim.base import Optimizer
from sentei.optim.in_turns import InTurns
from sentei.optim.perceptron import perceptron
from sentei.optim.schedules import Bengio, Constant, Cosine, Inverse, Schedule, Step
from sentei.optim.semi_sync import SemiSync, groups
from sentei.optim.sgd import SGD

KINDS: tuple[type, ...] = (
    SGD,
    AdaGrad,
    RMSprop,
    Adam,
    SemiSync,
    InTurns,
    Constant,
    Step,
    Inverse,
    Cosine,
)

__all__ = [
    "KINDS",
    "SGD",
    "AdaGrad",
    "Adam",
    "Bengio",
    "Constant",
    "Cosine",
    "InTurns",
    "Inverse",
    "Optimizer",
    "RMSprop",
    "Schedule",
    "SemiSync",
    "Step",
    "groups",
    "perceptron",
]
