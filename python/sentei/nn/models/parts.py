"""Pieces that several networks share."""

from __future__ import annotations

from sentei.errors import GraphError
from sentei.nn.activations import ELU, ReLU
from sentei.nn.symbol import Layer
from sentei.suggest import unknown

__all__ = ["rectifier"]


def rectifier(network: str, name: str) -> Layer:
    """The activation of a network that compares ReLU with ELU; GraphError for another name."""
    if name not in ("relu", "elu"):
        raise GraphError(unknown(f"{network}: activation", name, ("relu", "elu")))
    return ReLU() if name == "relu" else ELU()
