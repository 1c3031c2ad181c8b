"""From gates to a smaller network: which filters are closed, and what is left without them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sentei._core import Tensor
from sentei.errors import DataError, GraphError
from sentei.graph import Graph
from sentei.model import Model
from sentei.passes import Costs, costs, fold_gates, inference, thaw_statistics
from sentei.prune.block import folded
from sentei.prune.gates import BOUND, Gate, gates_of
from sentei.prune.iterative import PruneStep, TargetUnreachableError
from sentei.prune.scores import LayerScores
from sentei.prune.surgery import keep_first, original_channels, remove, shrunk_graph
from sentei.prune.target import Target
from sentei.prune.units import PruningMap, Unit, pruning_map
from sentei.prune.verify import RELATIVE_TOLERANCE, VerificationError, verify
from sentei.run import Runner

__all__ = [
    "Closed",
    "Closing",
    "Outlook",
    "close_gates",
    "folded_costs",
    "outlook",
    "smallest_costs",
]


@dataclass(frozen=True)
class Closing:
    """When a filter counts as closed, and what stays whatever its gates say.

    threshold: a filter is closed where h(m), or m itself, is at most this. of: "h" or "m".
    floor: filters that every layer keeps: those of largest m.
    target: more filters go, the least m first, until it is met; None: the closed ones alone.
    Raises:
        ValueError: a threshold outside [0, 1) of h or [-1, 1) of m; floor below 1.
    Source:
        methods section 6; T eq. 4.18 has the threshold on m.
    """

    threshold: float = 1e-3
    of: Literal["h", "m"] = "h"
    floor: int = 1
    target: Target | None = None

    def __post_init__(self) -> None:
        if self.of not in ("h", "m"):
            raise ValueError(f"Closing: of must be 'h' or 'm', got {self.of!r}")
        low = 0.0 if self.of == "h" else -BOUND
        if not low <= self.threshold < 1:
            raise ValueError(
                f"Closing: threshold must be in [{low:g}, 1) of {self.of}, got {self.threshold!r}"
            )
        if self.floor < 1:
            raise ValueError(f"Closing: floor must be at least 1, got {self.floor}")

    def closed(self, gate: Gate, m: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Which filters of a layer are closed."""
        value = gate.values(m) if self.of == "h" else m.astype(np.float64)
        return np.asarray(value <= self.threshold)


@dataclass(frozen=True)
class Outlook:
    """What closing the gates now would give. layers: (name, closed filters, filters)."""

    layers: tuple[tuple[str, int, int], ...]
    costs: Costs
    reached: bool

    @property
    def closed(self) -> int:
        return sum(c for _, c, _ in self.layers)

    @property
    def total(self) -> int:
        return sum(n for _, _, n in self.layers)


@dataclass(frozen=True)
class Closed:
    """The smaller network and how it came about. The model that was given is unchanged.

    model: without gates; Pruning Blocks are still in it, for fine-tuning (see fold_blocks).
    original, final: costs before the gates and now, blocks counted as folded.
    shut: filters that training had closed; forced: open ones that went for the target; opened:
    closed ones that floors kept, with h = 1.
    max_abs_diff, tolerance: of the proofs that gated = folded and masked = pruned, the worse.
    """

    model: Model
    original: Costs
    final: Costs
    steps: tuple[PruneStep, ...]
    gates: tuple[LayerScores, ...]
    shut: int
    forced: int
    opened: int
    max_abs_diff: float
    tolerance: float


def folded_costs(graph: Graph) -> Costs:
    """Costs of a network without gates, its blocks counted as folded."""
    return costs(folded(graph)[0])


def _plain(graph: Graph, arrays: dict[str, Any]) -> tuple[Graph, dict[str, Any]]:
    graph, arrays = fold_gates(graph, arrays)
    return thaw_statistics(graph), arrays


@dataclass(frozen=True)
class _Ranked:
    """Removable units, least first: h is the largest of a unit's members."""

    units: tuple[tuple[Unit, float], ...]
    shut: int  # the first so many are closed
    kept: tuple[Unit, ...]  # closed, but a layer's floor


class _Gated:
    """A model with gates, looked at."""

    def __init__(self, model: Model, closing: Closing) -> None:
        self.gates = gates_of(model.graph)
        if not self.gates:
            raise GraphError(
                "gates: the network must have gates, got none (attach_gates adds them)"
            )
        self.closing = closing
        self.m = {g.layer: model.tensors[g.m].numpy() for g in self.gates}
        for layer, m in self.m.items():
            if not np.isfinite(m).all():
                raise DataError(f"gates: the auxiliary variables of {layer} must be finite")
        self.h = {g.layer: g.values(self.m[g.layer]) for g in self.gates}
        self.shut = {g.layer: closing.closed(g, self.m[g.layer]) for g in self.gates}
        arrays = {k: t.numpy() for k, t in model.tensors.items()}
        self.graph, self.arrays = _plain(model.graph, arrays)
        include = ("conv2d", "linear")
        whole = pruning_map(self.graph, include=include, floor=closing.floor)
        # a unit is left alone where one of its members has no gate
        names = {g.layer for g in self.gates}
        able = tuple(u for u in whole.units if all(layer in names for layer, _ in u.members))
        self.pruning = PruningMap(whole.groups, able, whole.layers, closing.floor, whole.widths())

    def rank(self) -> _Ranked:
        """Closed units first, then by their m; ties: lowest layer, then lowest channel."""
        rows = []
        for k, u in enumerate(self.pruning.units):
            shut = all(self.shut[layer][i] for layer, i in u.members)
            rows.append((not shut, max(float(self.m[layer][i]) for layer, i in u.members), k))
        widths = self.pruning.widths()
        found: list[tuple[Unit, float]] = []
        kept, count = [], 0
        for opened, _, k in sorted(rows):
            unit = self.pruning.units[k]
            if not self.pruning.removable(unit, widths):
                kept += [] if opened else [unit]
                continue
            for layer, _ in unit.members:
                widths[layer] -= 1
            count += not opened
            found.append((unit, max(float(self.h[layer][i]) for layer, i in unit.members)))
        return _Ranked(tuple(found), count, tuple(kept))

    def costs_without(self, units: list[Unit]) -> Costs:
        if not units:
            return folded_costs(self.graph)
        labels = [u.label for u in units]
        return folded_costs(shrunk_graph(self.graph, self.pruning.groups, labels)[0])

    def enough(self, ranked: _Ranked, original: Costs) -> int:
        """How many units, least first, must go: the closed ones, and more for the target."""
        target, units = self.closing.target, [u for u, _ in ranked.units]
        low, high = ranked.shut, len(units)
        if target is None or target.reached(self.costs_without(units[:low]), original):
            return low
        if not target.reached(smallest := self.costs_without(units), original):
            raise TargetUnreachableError(
                f"gates: the target must be reachable, but {target.describe(original)} is below the "
                f"smallest network that floor {self.closing.floor} and the gated layers allow, "
                f"{target.measure(smallest):,} of {target.measure(original):,} {target.kind}"
            )
        while high - low > 1:  # not reached at low, reached at high
            middle = (low + high) // 2
            met = target.reached(self.costs_without(units[:middle]), original)
            low, high = (low, middle) if met else (middle, high)
        return high


def smallest_costs(model: Model, closing: Closing) -> Costs:
    """Costs with every gated layer at its floor."""
    gated = _Gated(model, closing)
    return gated.costs_without(keep_first(gated.pruning))


def outlook(model: Model, closing: Closing, original: Costs) -> Outlook:
    """What close_gates would take out now, without doing it.

    Args:
        original: costs of the network before the gates, which the target is a share of.
    """
    gated = _Gated(model, closing)
    ranked = gated.rank()
    now = gated.costs_without([u for u, _ in ranked.units[: ranked.shut]])
    layers = tuple(
        (g.layer, int(gated.shut[g.layer].sum()), len(gated.m[g.layer])) for g in gated.gates
    )
    reached = closing.target is not None and closing.target.reached(now, original)
    return Outlook(layers, now, reached)


def close_gates(model: Model, closing: Closing, original: Costs) -> Closed:
    """Multiply the gates into the weights and take the closed filters out.

    Tied filters (a residual stream) go together, where all of them are closed. The result is
    compared with the gated network whose gates are shut accordingly.

    Args:
        model: with gates, trained. original: costs of the network before the gates.
    Raises:
        GraphError: no gates. TargetUnreachableError: floors forbid the target.
        VerificationError: the two networks differ by more than rounding.
    """
    start = time.perf_counter()
    gated = _Gated(model, closing)
    ranked = gated.rank()
    count = gated.enough(ranked, original)
    units = [u for u, _ in ranked.units[:count]]
    opened = [m for u in ranked.kept for m in u.members]
    shut = _set_gates(model, gated.gates, opened, [m for u in units for m in u.members])
    graph, arrays = _plain(shut.graph, shut.arrays())
    tensors = {k: Tensor.from_numpy(a).to(model.device) for k, a in arrays.items()}
    before = Model(graph, tensors, model.meta)
    after = remove(before, gated.pruning, units)[0] if units else before
    diff, tolerance = _prove(shut, before, after, gated.pruning, units)
    kept = original_channels(before)
    seconds = (time.perf_counter() - start) / max(count, 1)
    steps = []
    for k, (unit, h) in enumerate(ranked.units[:count]):
        now = gated.costs_without(units[: k + 1])
        members = tuple((layer, kept.get(layer, range(1 << 30))[i]) for layer, i in unit.members)
        steps.append(
            PruneStep(
                k + 1, *members[0], members, h, now.macs, now.params, diff, tolerance, None, seconds
            )
        )
    scores = tuple(
        LayerScores(g.layer, gated.h[g.layer], gated.m[g.layer].astype(np.float64), None)
        for g in gated.gates
    )
    after.meta["history"] = [s.to_json() for s in steps]
    after.meta["scores"] = [{"layer": s.layer, "values": s.values.tolist()} for s in scores]
    return Closed(
        after,
        original,
        folded_costs(after.graph),
        tuple(steps),
        scores,
        ranked.shut,
        count - ranked.shut,
        len(opened),
        diff,
        tolerance,
    )


def _set_gates(
    model: Model,
    gates: tuple[Gate, ...],
    opened: list[tuple[str, int]],
    shut: list[tuple[str, int]],
) -> Model:
    """A copy with some gates wide open and some wholly shut: far beyond where training may go."""
    copy = model.copy()
    for g in gates:
        m = copy.tensors[g.m].numpy()
        far = 1.0 if g.attrs["kind"] == "step" else 200.0 / float(g.attrs["alpha"])
        for members, value in ((opened, far), (shut, -far)):
            m[[i for layer, i in members if layer == g.layer]] = value
        copy.tensors[g.m].copy_from(m)
    return copy


def _prove(
    shut: Model, before: Model, after: Model, pruning: PruningMap, units: list[Unit]
) -> tuple[float, float]:
    """Gated network = the same with its gates folded, and masked = pruned; the worse of the two.

    Where an activation gives a closed filter a value of its own (f(0) is not 0), or a batch norm
    after the gates its beta, masking takes that value away too.
    """
    rng = np.random.default_rng(0)
    images = rng.standard_normal((4, *before.input_shape), dtype=np.float32)
    graph = inference(shut.graph)
    runner = Runner(graph, {k: t for k, t in shut.tensors.items() if k in graph.values}, 4)
    runner.run(**{shut.input: images})
    want = runner.fetch(graph.outputs[0])
    got = before.predictor(4, fused=False)(images)
    diff = float(np.abs(got - want).max())
    tolerance = RELATIVE_TOLERANCE * (float(np.abs(want).max()) or 1.0)
    if not diff <= tolerance:
        raise VerificationError(
            f"close_gates: weights with their gates folded must give what the gated network does "
            f"within {tolerance:.3e}, but differ by {diff:.3e}"
        )
    worst = diff, tolerance
    if units:
        proof = verify(before, after, pruning, units, images)
        worst = max(worst, (proof.max_abs_diff, proof.tolerance), key=lambda p: p[0] / p[1])
    return worst
