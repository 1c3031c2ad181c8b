"""How a network stands to a target: counted, planned, or timed against the unpruned network."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sentei.graph import Graph
from sentei.model import Model
from sentei.passes import Costs, costs, fold_gates, fuse, inference
from sentei.prune.target import COUNTS, NAMES, Target
from sentei.run import make_plan
from sentei.run.timing import call_of, in_turns, ratio_of

__all__ = ["Gauge", "gauge_of", "inference_bytes"]

_LOOK, _SURE = 0.05, 1.0  # seconds of a look, and of the measurement that decides
_STEP = 0.01  # share of the MACs that must have gone since the last look


def inference_bytes(graph: Graph, batch: int = 1) -> int:
    """Bytes of inference at `batch` images: activations as the plan lays them out, and parameters.

    Of the folded network in float32 (batch norm in the layer before it) on the CPU's plan. Filters
    that a predictor packs for its kernels are a copy of some of them and not counted.
    """
    forward = inference(graph)
    shapes = {k: forward.values[k].spec for k in forward.by_role("param", "state")}
    empty = {k: np.zeros(s.shape, np.float32) for k, s in shapes.items() if s is not None}
    folded, arrays = fuse(*fold_gates(forward, empty))
    own = sum(a.nbytes for a in arrays.values())
    return own + int(make_plan(folded, batch).memory.arena_bytes)


class Gauge:
    """Value of networks in the measure of a target. whole, budget: of the unpruned one, and allowed;
    value: of the network last looked at. Subclasses say how a value is found."""

    def __init__(self, target: Target, whole: float) -> None:
        self.target, self.whole = target, max(float(whole), 1e-12)
        self.budget, self.value = target.budget_of(whole), float(whole)

    def of_graph(self, graph: Graph, found: Costs | None = None) -> float | None:
        """The value of a graph; None: only a measurement can say."""
        raise NotImplementedError

    def allows(self, graph: Graph) -> bool:
        """Whether a graph is small enough, as far as can be told without running it."""
        value = self.of_graph(graph)
        return value is not None and value <= self.budget

    def met(self, model: Model, found: Costs) -> bool:
        """Whether a network is small enough; remembers its value."""
        value = self.of_graph(model.graph, found)
        assert value is not None
        self.value = value
        return value <= self.budget

    def check(self, model: Model, found: Costs) -> bool:
        """As `met`, at once and with all care: for the result, and for what is reachable."""
        return self.met(model, found)

    def seen(self, found: Costs) -> None:
        """A network of these costs is at hand; where they tell the value, remember it."""

    def stands(self, model: Model, found: Costs) -> bool:
        """Whether a network that was found small enough still is; for latency no measurement is
        against it (the lower end of the interval is within the budget)."""
        return self.check(model, found)

    @property
    def share(self) -> float:
        """What is left of the unpruned network's value."""
        return self.value / self.whole

    @property
    def goal(self) -> float | None:
        """The share that is asked for; None: max_drop alone decides."""
        return self.budget / self.whole if self.target.sized else None

    @property
    def done(self) -> float:
        """Share of the way to the target, in [0, 1]."""
        return min(1.0, max(0.0, (1 - self.share) / max(1 - (self.goal or 0.0), 1e-9)))

    def words(self) -> str:
        """What is left, in words."""
        name = NAMES[self.target.kind if self.target.sized else "flops"]
        goal = "" if self.goal is None else f" (target {self.goal:.1%})"
        return f"{self.share:.1%} of {name} left{goal}"

    def shown(self, value: float) -> str:
        """A value with its unit."""
        if self.target.kind == "latency_ms":
            return f"{value:,.3f} ms of latency"
        unit = "bytes of memory" if self.target.kind == "memory" else NAMES[self.target.kind]
        return f"{value:,.0f} {unit}"


class _Counts(Gauge):
    def of_graph(self, graph: Graph, found: Costs | None = None) -> float:
        return float(self.target.measure(found or costs(graph)))

    def seen(self, found: Costs) -> None:
        self.value = float(self.target.measure(found))


class _Memory(Gauge):
    def of_graph(self, graph: Graph, found: Costs | None = None) -> float:
        return float(inference_bytes(graph, self.target.batch))


class _Latency(Gauge):
    """Medians against the unpruned network, in turns and in the same minutes.

    A value is (median of this network) / (median of the unpruned one, timed in turns with it) x whole, so
    that a machine that slows down in the course of a run slows both. A look of 0.05 s is taken
    when 1 % of the MACs has gone since the last. Where it is within the budget a second of
    measurement decides, three where it is near: the budget is met when the upper end of the ratio's
    95 % interval is within it. So noise may let a few more channels go, but does not end a run too early.
    """

    def __init__(self, target: Target, baseline: Model, original: Costs) -> None:
        self._first = _call(baseline, target.batch)
        times = in_turns([self._first], _SURE)[0]
        super().__init__(target, float(np.median(times)) / 1e6)
        self._macs, self._seen = max(original.macs, 1), float("inf")

    def of_graph(self, graph: Graph, found: Costs | None = None) -> None:
        return None

    def met(self, model: Model, found: Costs) -> bool:
        if found.macs > self._seen - _STEP * self._macs:
            return False
        self._seen = found.macs
        return self._measure(model, _LOOK)[1] <= self.budget and self.check(model, found)

    def check(self, model: Model, found: Costs) -> bool:
        low, value, high = self._measure(model, _SURE)
        if low <= self.budget < high and value <= self.budget:  # near: once more, and longer
            high = self._measure(model, 3 * _SURE)[2]
        return high <= self.budget

    def stands(self, model: Model, found: Costs) -> bool:
        return self._measure(model, _SURE)[0] <= self.budget

    def _measure(self, model: Model, seconds: float) -> tuple[float, float, float]:
        """The value between the ends of its interval; it is remembered."""
        call = _call(model, self.target.batch)
        r = ratio_of(*in_turns([self._first, call], seconds))
        self.value = self.whole / r.ratio
        return self.whole / r.high, self.value, self.whole / r.low


def _call(model: Model, batch: int) -> Callable[[], None]:
    """One inference of a network, on an image of noise."""
    predictor = model.predictor(batch)
    rng = np.random.default_rng(0)
    images = rng.standard_normal((batch, *predictor.input_shape), dtype=np.float32)
    runner = predictor.runner(batch)
    runner.set(predictor.input, images)
    return call_of(runner, {predictor.input: images} if predictor.device == "cpu" else {})


def gauge_of(target: Target, original: Costs, baseline: Model | None) -> Gauge:
    """The gauge of a target.

    Args:
        original: costs of the unpruned network. baseline: that network, for memory and latency.
    Raises:
        ValueError: it is needed and not given.
    """
    if target.kind in COUNTS or not target.sized:
        return _Counts(target, target.measure(original))
    if baseline is None:
        raise ValueError(
            f"prune: baseline must be given to go on with a target in {NAMES[target.kind]}, "
            "the unpruned network"
        )
    if target.kind == "memory":
        return _Memory(target, inference_bytes(baseline.graph, target.batch))
    return _Latency(target, baseline, original)
