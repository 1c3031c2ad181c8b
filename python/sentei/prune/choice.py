"""Which channels a round removes: least score first, one by one or in whole blocks of a width."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import numpy as np

from sentei.model import Model
from sentei.prune.scores import LayerScores
from sentei.prune.surgery import original_channels
from sentei.prune.units import PruningMap, Unit

__all__ = ["Member", "Scored", "choose", "free_units", "members_of", "smallest", "unit_scores"]

Scored = tuple[Unit, float]
Member = tuple[str, int]  # layer and channel, numbered as in the original network


def unit_scores(pruning: PruningMap, scores: Sequence[LayerScores]) -> list[float]:
    """The score of every unit: the sum over its members."""
    by_layer = {s.layer: s.values for s in scores}
    return [float(sum(by_layer[layer][i] for layer, i in u.members)) for u in pruning.units]


def members_of(model: Model, unit: Unit) -> tuple[Member, ...]:
    """The members of a unit with the numbers that they had in the original network."""
    kept = original_channels(model)
    return tuple((layer, kept[layer][i] if layer in kept else i) for layer, i in unit.members)


def free_units(pruning: PruningMap, model: Model, protected: Collection[Member]) -> list[bool]:
    """For every unit whether none of its members is protected (original numbers)."""
    if not protected:
        return [True] * len(pruning.units)
    kept = original_channels(model)
    return [
        all(
            (layer, kept[layer][i] if layer in kept else i) not in protected
            for layer, i in u.members
        )
        for u in pruning.units
    ]


def choose(
    pruning: PruningMap,
    values: Sequence[float],
    free: Sequence[bool],
    count: int,
    round_to: int,
    enough: Callable[[list[Unit]], bool],
) -> list[Scored]:
    """Units to remove in a round: least first, lowest layer and index on ties; [] when none may go.

    With round_to above 1 the least units of the same layers go together, as many as it takes for the
    widths of these layers to become multiples of round_to; the block with the least mean goes first.

    Args:
        values, free: of every unit, the score and whether it may go. count: units after which the round
        ends. enough: whether what is chosen so far meets the target; asked after every removal
        but the last.
    """
    ranked = sorted((v, k) for k, v in enumerate(values) if free[k])
    widths = pruning.widths()
    chosen: list[Scored] = []
    if round_to == 1:
        for value, k in ranked:
            unit = pruning.units[k]
            if not pruning.removable(unit, widths):
                continue
            _take(widths, [unit])
            chosen.append((unit, value))
            if len(chosen) == count or enough([u for u, _ in chosen]):
                break
        return chosen
    waiting: dict[tuple[str, ...], list[Scored]] = {}
    for value, k in ranked:
        waiting.setdefault(_layers(pruning.units[k]), []).append((pruning.units[k], value))
    while len(chosen) < count:
        blocks = []
        for layers, units in waiting.items():
            size = _block(pruning, layers, units, widths, round_to)
            if size:
                mean = float(np.mean([v for _, v in units[:size]]))
                blocks.append((mean, layers, size))
        if not blocks:
            break
        _, layers, size = min(blocks)
        block, waiting[layers] = waiting[layers][:size], waiting[layers][size:]
        _take(widths, [u for u, _ in block])
        chosen += block
        if len(chosen) < count and enough([u for u, _ in chosen]):
            break
    return chosen


def smallest(pruning: PruningMap, round_to: int = 1) -> list[Unit]:
    """Units whose removal, the last of a layer first, leaves the smallest network that is allowed."""
    n = len(pruning.units)
    last_first = [float(n - k) for k in range(n)]
    found = choose(pruning, last_first, [True] * n, n + 1, round_to, lambda _: False)
    return [u for u, _ in found]


def _layers(unit: Unit) -> tuple[str, ...]:
    return tuple(sorted(layer for layer, _ in unit.members))  # a layer twice stays twice


def _take(widths: dict[str, int], units: Sequence[Unit]) -> None:
    for unit in units:
        for layer, _ in unit.members:
            widths[layer] -= 1


def _block(
    pruning: PruningMap,
    layers: tuple[str, ...],
    units: Sequence[Scored],
    widths: dict[str, int],
    round_to: int,
) -> int:
    """Units of these layers that must go together; 0: they may not, or are too few.

    The fewest that bring every layer's width to a multiple; where layers are tied in part, so that no
    number does, round_to: widths that are multiples stay so.
    """
    each = {layer: layers.count(layer) for layer in layers}
    fits = [
        size for size in range(1, round_to + 1)
        if all((widths[layer] - size * n) % round_to == 0 for layer, n in each.items())
    ]  # fmt: skip
    size = fits[0] if fits else round_to
    low = all(widths[layer] - size * n >= max(pruning.floor, 1) for layer, n in each.items())
    return size if low and len(units) >= size else 0
