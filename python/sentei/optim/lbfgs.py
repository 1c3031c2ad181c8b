"""L-BFGS: settings, what it keeps, and the direction of descent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sentei._core import Tensor
from sentei.errors import DataError
from sentei.graph import Graph, Spec
from sentei.ops import SGD_UPDATE
from sentei.optim.base import Grads, Optimizer, States, check_range, update
from sentei.optim.vectors import Vector

__all__ = ["LBFGS", "Pairs"]

SHARE = "lbfgs.share"  # input: minus the share of a part of the mini-batch
PLACE = "lbfgs.place"  # state: pairs kept, where the next one goes
GRADIENT = "gradient"  # slot: sum of the gradients of the parts


def _whole(name: str, value: int, low: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < low:
        raise ValueError(f"LBFGS: {name} must be a whole number from {low}, got {value!r}")


@dataclass(frozen=True)
class LBFGS(Optimizer):
    """Step along -H g, H from the last `memory` changes of parameters and gradient.

    The length of a step meets the strong Wolfe conditions (c1, c2), so that a step evaluates the loss
    of its mini-batch several times: give the Trainer a batch of the whole data set, or a large one.
    It is evaluated `chunk` samples at a time. What a step reports is the loss after it.

    Args:
        lr: first length tried, 1 being that of Newton's method; a schedule changes it.
        weight_decay, l2: see Optimizer; wd/2 |W|^2 and l2 |W|^2 belong to the loss that is searched.
        memory: pairs of changes kept; they take 2 memory times the room of the parameters.
        c1, c2: of the Wolfe conditions, 0 < c1 < c2 < 1.
        evaluations: of the loss in one step, at most.
        tolerance: at the minimum when |g| <= tolerance max(1, |w|).
        chunk: samples whose activations are in memory at a time.
    Source:
        D. Liu, J. Nocedal, Math. Programming 45 (1989); methods section 8.
    """

    lr: float = 1.0
    memory: int = 10
    c1: float = 1e-4
    c2: float = 0.9
    evaluations: int = 25
    tolerance: float = 1e-6
    chunk: int = 100

    def __post_init__(self) -> None:
        super().__post_init__()
        _whole("memory", self.memory, 1)
        _whole("evaluations", self.evaluations, 2)
        _whole("chunk", self.chunk, 1)
        check_range("LBFGS", "tolerance", self.tolerance, 0)
        for name in ("lr", "c1"):
            check_range("LBFGS", name, getattr(self, name), 1e-300)
        check_range("LBFGS", "c2", self.c2, 0, 1)
        if not self.c1 < self.c2:
            raise ValueError(f"LBFGS: c1 must be below c2 = {self.c2!r}, got {self.c1!r}")

    def emit(self, graph: Graph, grads: Grads) -> States:
        """Append the sums of gradients: slot "gradient"; no parameter changes in the graph.

        Further states: slots "step.<i>" and "change.<i>" of every pair, and "lbfgs.place".
        """
        states: States = {}
        graph.add_input(SHARE, Spec((1,)))
        for param, g in grads.items():
            spec = graph.values[param].spec
            assert spec is not None
            names = [GRADIENT]
            names += [f"{kind}.{i}" for i in range(self.memory) for kind in ("step", "change")]
            for name in names:
                states[f"{param}.{name}"] = Tensor.zeros(spec.shape)
            total = graph.add_state(f"{param}.{GRADIENT}", spec)
            update(graph, SGD_UPDATE, total, (total, g, None, SHARE), {})
        states[PLACE] = Tensor.from_numpy(np.zeros(2, np.int64))
        return states

    def carried(self, name: str, old: Tensor, states: Mapping[str, Tensor]) -> Tensor:
        """What was learnt of another network's curvature is forgotten."""
        return states[name]

    def check_states(self, states: Mapping[str, Tensor]) -> None:
        """DataError when the place of the pairs is none."""
        count, at = (int(x) for x in states[PLACE].numpy())
        if not 0 <= count <= self.memory or not 0 <= at < self.memory:
            raise DataError(f"LBFGS: {PLACE} must lie within memory = {self.memory}")


class Pairs:
    """The last changes s of the parameters and y of the gradient; H g of them by the two loops."""

    def __init__(self, params: Sequence[str], states: Mapping[str, Tensor], memory: int) -> None:
        def slot(name: str) -> Vector:
            return Vector([states[f"{p}.{name}"] for p in params])

        self.s = [slot(f"step.{i}") for i in range(memory)]
        self.y = [slot(f"change.{i}") for i in range(memory)]
        self.place = states[PLACE]

    def _read(self) -> tuple[int, int]:
        count, at = (int(x) for x in self.place.numpy())
        return count, at

    @property
    def count(self) -> int:
        """Pairs kept."""
        return self._read()[0]

    def forget(self) -> None:
        """Begin anew."""
        self.place.copy_from(np.zeros(2, np.int64))

    def put(self, t: float, direction: Vector, before: Vector, after: Vector) -> bool:
        """Keep s = t direction and y = after - before; False, and nothing kept, without curvature."""
        count, at = self._read()
        s, y = self.s[at], self.y[at]
        s.copy(direction)
        s.scale(t)
        y.copy(after)
        y.add(-1.0, before)
        product, ss, yy = s.dot(y), s.dot(s), y.dot(y)
        if not product > 1e-8 * (ss * yy) ** 0.5:  # false for NaN too
            # the pair that lay here is gone: those that are left stand before it
            keep = min(count, len(self.s) - 1)
            self.place.copy_from(np.array([keep, at], np.int64))
            return False
        count, at = min(count + 1, len(self.s)), (at + 1) % len(self.s)
        self.place.copy_from(np.array([count, at], np.int64))
        return True

    def direction(self, g: Vector, out: Vector) -> None:
        """out = -H g.

        q = g; newest to oldest: a_i = s_i.q / s_i.y_i, q -= a_i y_i; q *= s.y / y.y of the newest;
        oldest to newest: q += (a_i - y_i.q / s_i.y_i) s_i; out = -q
        """
        count, at = self._read()
        order = [(at - 1 - k) % len(self.s) for k in range(count)]  # newest first
        out.copy(g)
        curvature = {i: self.s[i].dot(self.y[i]) for i in order}
        factors = {}
        for i in order:
            factors[i] = self.s[i].dot(out) / curvature[i]
            out.add(-factors[i], self.y[i])
        if order:
            newest = order[0]
            out.scale(curvature[newest] / self.y[newest].dot(self.y[newest]))
        for i in reversed(order):
            out.add(factors[i] - self.y[i].dot(out) / curvature[i], self.s[i])
        out.scale(-1.0)
