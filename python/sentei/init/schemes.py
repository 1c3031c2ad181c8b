"""Distributions of initial weights, by function and by name."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sentei._core import Tensor
from sentei.errors import GraphError
from sentei.graph import Graph, Node, Spec
from sentei.init.connections import variances, weight_nodes
from sentei.passes import infer_specs
from sentei.suggest import unknown

__all__ = [
    "Draw",
    "Scheme",
    "get",
    "glorot",
    "henmi_kato",
    "initialise",
    "kaiming",
    "names",
    "normal",
    "uniform",
    "xavier",
]


@dataclass(frozen=True)
class Draw:
    """A distribution of mean 0: normal of standard deviation `scale`, or uniform in [-scale, scale]."""

    kind: Literal["normal", "uniform"]
    scale: float

    @property
    def variance(self) -> float:
        return self.scale**2 if self.kind == "normal" else self.scale**2 / 3

    def sample(self, shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float32]:
        """Numbers of this distribution, float32."""
        if self.kind == "normal":
            x = rng.standard_normal(shape, dtype=np.float32)
        else:
            x = rng.random(shape, dtype=np.float32)
            x *= 2
            x -= 1
        x *= np.float32(self.scale)
        return x


@dataclass(frozen=True)
class Scheme:
    """A way to choose the distribution of every weight. draws(graph) -> Draw by weight layer's name."""

    name: str
    draws: Callable[[Graph], dict[str, Draw]]


def _fans(node: Node, specs: Mapping[str, Spec]) -> tuple[int, int]:
    """(n_in, n_out): inputs of one output unit, and outputs that one input unit feeds at stride 1."""
    x, w = (specs[v].shape for v in node.inputs[:2] if v is not None)
    if node.op.name == "linear":
        return w[1], w[0]
    filters, taps, group_channels = w[0], w[1] * w[2], w[3]
    return taps * group_channels, taps * (filters * group_channels // x[3])


def _by_fans(name: str, scale: Callable[[int, int], float]) -> Scheme:
    def draws(graph: Graph) -> dict[str, Draw]:
        specs = infer_specs(graph, 1)
        return {n.name: Draw("normal", scale(*_fans(n, specs))) for n in weight_nodes(graph)}

    return Scheme(name, draws)


def kaiming(mode: Literal["fan_in", "fan_out"] = "fan_in") -> Scheme:
    """Normal of variance 2 / n_in, or 2 / n_out [He et al.]; n = taps x channels of one group."""
    if mode not in ("fan_in", "fan_out"):
        raise GraphError(unknown("kaiming: mode", mode, ("fan_in", "fan_out")))
    which = 0 if mode == "fan_in" else 1
    name = "kaiming" if mode == "fan_in" else "kaiming_fan_out"
    return _by_fans(name, lambda *fans: float((2 / fans[which]) ** 0.5))


def xavier() -> Scheme:
    """Normal of standard deviation 1 / sqrt(n_in) [B eq. 70]."""
    return _by_fans("xavier", lambda n_in, n_out: float(n_in**-0.5))


def glorot() -> Scheme:
    """Normal of variance 2 / (n_in + n_out) [Glorot and Bengio]."""
    return _by_fans("glorot", lambda n_in, n_out: float((2 / (n_in + n_out)) ** 0.5))


def henmi_kato(direction: Literal["forward", "backward"] = "forward") -> Scheme:
    """Normal whose variance keeps that of the signal, from the exact connections of the whole graph.

    forward:  var = M_out / (tau_prev eps)  (6)
    backward: var = M_in / (gamma eps)      (7)

    See sentei.init.variances for the quantities. Source: [I].
    """
    if direction not in ("forward", "backward"):
        raise GraphError(unknown("henmi_kato: direction", direction, ("forward", "backward")))

    def draws(graph: Graph) -> dict[str, Draw]:
        rows = variances(graph)
        return {
            r.name: Draw(
                "normal", float((r.forward if direction == "forward" else r.backward) ** 0.5)
            )
            for r in rows
        }

    return Scheme("henmi_kato" if direction == "forward" else "henmi_kato_backward", draws)


def _constant(name: str, draw: Draw) -> Scheme:
    if not 0 < draw.scale < float("inf"):
        raise GraphError(f"{name}: scale must be a number above 0, got {draw.scale!r}")
    return Scheme(name, lambda graph: {n.name: draw for n in weight_nodes(graph)})


def uniform(bound: float = 1.0) -> Scheme:
    """Uniform in [-bound, bound]."""
    return _constant("uniform", Draw("uniform", bound))


def normal(std: float = 1.0) -> Scheme:
    """Normal of standard deviation std."""
    return _constant("normal", Draw("normal", std))


_SCHEMES: dict[str, Callable[..., Scheme]] = {
    "kaiming": kaiming,
    "kaiming_fan_out": partial(kaiming, "fan_out"),
    "xavier": xavier,
    "glorot": glorot,
    "henmi_kato": henmi_kato,
    "henmi_kato_backward": partial(henmi_kato, "backward"),
    "uniform": uniform,
    "normal": normal,
}


def names() -> list[str]:
    """Names of all schemes."""
    return list(_SCHEMES)


def get(name: str, **options: Any) -> Scheme:
    """Scheme by name, with the options of its function.

    Raises:
        GraphError: unknown name (the nearest is named) or option.
    """
    if name not in _SCHEMES:
        raise GraphError(unknown("init: name", name, _SCHEMES))
    known = inspect.signature(_SCHEMES[name]).parameters
    for option in options:
        if option not in known:
            raise GraphError(
                unknown(f"{name}: option", option, known)
                if known
                else f"{name}: takes no options, got {option!r}"
            )
    return _SCHEMES[name](**options)


# What is not drawn: (op, argument) -> constant. Biases, shifts and running means start at 0.
_CONSTANTS = {
    ("batch_norm", "gamma"): 1.0,
    ("batch_norm", "running_var"): 1.0,
    ("prelu", "a"): 0.25,
    ("channel_scale", "m"): 1.0,
}


def generator(seed: int, name: str) -> np.random.Generator:
    """Random numbers of one parameter: a Philox stream keyed by the seed and the parameter's name."""
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest[:16], "little")))


def initialise(
    graph: Graph, scheme: str | Scheme = "kaiming", *, seed: int = 0
) -> dict[str, Tensor]:
    """Initial values of all parameters and states of a graph.

    A weight's numbers depend on the seed, its own name and its distribution, so that a layer more
    or less changes no other layer's numbers. Biases 0, gamma 1, beta 0, running mean 0, variance 1.

    Args:
        graph: forward graph. scheme: name (see get) or Scheme. seed (int): at least 0.
    Returns:
        Tensors by name.
    Raises:
        GraphError: unknown scheme, or seed out of range.
    """
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise GraphError(f"init: seed must be a whole number of at least 0, got {seed!r}")
    draws = (get(scheme) if isinstance(scheme, str) else scheme).draws(graph)
    weights: dict[str, Draw] = {}
    constants: dict[str, float] = {}
    for node in graph.nodes:
        for argument, value in node.arguments():
            if argument == "w" and node.name in draws:
                weights.setdefault(value, draws[node.name])
            elif (node.op.name, argument) in _CONSTANTS:
                constants.setdefault(value, _CONSTANTS[node.op.name, argument])
    tensors = {}
    for name in graph.by_role("param", "state"):
        spec = graph.values[name].spec
        assert spec is not None
        if name in weights:
            array = weights[name].sample(spec.shape, generator(seed, name))
        else:
            array = np.full(spec.shape, constants.get(name, 0.0), spec.dtype)
        tensors[name] = Tensor.from_numpy(array)
    return tensors
