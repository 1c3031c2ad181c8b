"""Optimizers (settings that append update nodes to a graph) and schedules of the step size."""

from sentei.optim.adaptive import AdaGrad, Adam, RMSprop
from sentei.optim.base import Optimizer
from sentei.optim.in_turns import InTurns
from sentei.optim.lbfgs import LBFGS, Pairs
from sentei.optim.line_search import Point, strong_wolfe
from sentei.optim.perceptron import perceptron
from sentei.optim.schedules import Bengio, Constant, Cosine, Inverse, Schedule, Step
from sentei.optim.semi_sync import SemiSync, groups
from sentei.optim.sgd import SGD
from sentei.optim.vectors import Vector

KINDS: tuple[type, ...] = (
    SGD,
    AdaGrad,
    RMSprop,
    Adam,
    LBFGS,
    SemiSync,
    InTurns,
    Constant,
    Step,
    Inverse,
    Cosine,
)

__all__ = [
    "KINDS",
    "LBFGS",
    "SGD",
    "AdaGrad",
    "Adam",
    "Bengio",
    "Constant",
    "Cosine",
    "InTurns",
    "Inverse",
    "Optimizer",
    "Pairs",
    "Point",
    "RMSprop",
    "Schedule",
    "SemiSync",
    "Step",
    "Vector",
    "groups",
    "perceptron",
    "strong_wolfe",
]
