"""The shape of report.json, and how anything handed in is made safe to read and to write."""

import math
from collections.abc import Mapping
from typing import Any, Literal, TypedDict, cast

from sentei.errors import DataError

from .outcome import Guard, Latency, Point, Undone

__all__ = [
    "BlockMap",
    "Change",
    "Cluster",
    "Confusion",
    "Criterion",
    "Fit",
    "Gates",
    "Guard",
    "Latency",
    "LatencyChange",
    "Layer",
    "LayerScores",
    "Loop",
    "Machine",
    "Point",
    "Regression",
    "Report",
    "Seconds",
    "Skipped",
    "Step",
    "Target",
    "TrainingEpoch",
    "Trust",
    "Undone",
    "Verify",
    "clean",
    "clean_text",
    "entries",
    "number",
    "table",
    "text",
]

_LARGEST = 1e300  # beyond it the span of two values would overflow
_DEEPEST = 32


class Change(TypedDict, total=False):
    """One figure before and after pruning; `after` is null or missing when nothing was pruned."""

    before: float | None
    after: float | None


class LatencyChange(TypedDict, total=False):
    """Latency before and after, keyed by batch size written as a string ("1", "100")."""

    before: dict[str, Latency] | None
    after: dict[str, Latency] | None


class Machine(TypedDict, total=False):
    """Where the run was made."""

    cpu: str
    isa: str
    threads: int
    device: str  # "cpu", or "cuda" with the name of the GPU


class Seconds(TypedDict, total=False):
    """Wall-clock seconds of each part."""

    train: float | None
    prune: float | None
    verify: float | None
    bench: float | None
    total: float | None


class Verify(TypedDict, total=False):
    """Largest output difference between the masked and the pruned network, and what is allowed."""

    max_abs_diff: float | None
    tolerance: float | None


class Target(TypedDict, total=False):
    """What was asked: `remaining` is the share of `kind` that may stay, in [0, 1]."""

    text: str
    kind: (
        str  # "flops", "macs", "params", "memory", "latency_ms"; "max_drop": accuracy alone decides
    )
    remaining: float | None
    reached: bool | None
    before: float | None  # values in that kind, of the network before and after
    after: float | None
    stopped: str | None  # why pruning ended before the size: "max_drop", "protected", "floor"


class Criterion(TypedDict, total=False):
    """The channel score and its normalisation."""

    name: str
    normalize: str | None


class Layer(TypedDict, total=False):
    """Output channels (or units) and MACs of one layer; `after` is null when nothing was pruned."""

    name: str
    op: str
    before: int
    after: int | None
    macs_before: int
    macs_after: int | None


class Loop(TypedDict, total=False):
    """What a removed channel cost: seconds in all, and by part (scoring, surgery, verification,
    retraining, evaluation); surgery is finding what can go, cutting and planning anew."""

    channels: int
    seconds_per_channel: float
    parts: dict[str, float]


class Step(TypedDict, total=False):
    """One removal; `macs` is what the network has left after it, `parts` its seconds as in `Loop`.

    `members`: all (layer, channel) that went; `feature`, `gradient`: means of what was removed,
    `feature_left`, `gradient_left`: of the channels of that layer that stayed.
    """

    step: int
    layer: str
    channel: int
    score: float | None
    macs: int
    params: int
    members: list[tuple[str, int]]
    feature: float | None
    gradient: float | None
    feature_left: float | None
    gradient_left: float | None
    accuracy_before_retrain: float | None
    accuracy_after_retrain: float | None
    seconds: float
    parts: dict[str, float]


class LayerTrust(TypedDict, total=False):
    """Rank correlation of one layer's scores."""

    layer: str
    correlation: float | None


class Trust(TypedDict, total=False):
    """Rank correlation between the scores of two halves of the images, of all channels and by layer."""

    criterion: str
    overall: float | None
    layers: list[LayerTrust]
    images: int  # in one half; 0: the criterion needs none
    sentence: str


class LayerScores(TypedDict, total=False):
    """The scores of all channels of one layer."""

    layer: str
    values: list[float]


class TrainingEpoch(TypedDict, total=False):
    """One epoch of training."""

    epoch: int
    loss: float | None
    accuracy: float | None
    val_loss: float | None
    val_accuracy: float | None
    seconds: float


class Skipped(TypedDict, total=False):
    """A layer that was not pruned, and why."""

    layer: str
    reason: str


class Confusion(TypedDict, total=False):
    """Counts on the test images, rows actual, columns predicted, in the order of `classes`."""

    classes: list[str]
    before: list[list[int]] | None
    after: list[list[int]] | None


class Fit(TypedDict, total=False):
    """Figures of a regression on the test samples; some (observed, predicted) points of it."""

    mse: float
    rmse: float
    mae: float
    r2: float
    points: list[list[float]]


class Regression(TypedDict, total=False):
    """A regression before and after pruning."""

    before: Fit | None
    after: Fit | None


class Gates(TypedDict, total=False):
    """What auxiliary variables came to: filters closed by training, taken for the target, kept open."""

    method: str
    epochs: int
    filters: int
    shut: int
    forced: int
    opened: int


class BlockMap(TypedDict, total=False):
    """Test images in the plane of a map's principal axes; shares of the variance are in [0, 1]."""

    layer: str
    name: str  # "input", "code", "activation" or "output"
    channels: int
    share_1: float
    share_2: float
    x: list[float]
    y: list[float]
    labels: list[int]


class Cluster(TypedDict, total=False):
    """Training on a cluster: how, and what was counted (sentei.distributed.result.Counters)."""

    sentence: str
    strategy: str
    replicas: int
    shards: int
    planned: int
    updates: list[int]
    repeats: int
    gaps: int
    replays: int
    leases_lost: int
    restarts: int
    shard_restarts: int
    backups: int
    doubled: int
    rolled_back: int
    snapshots: int
    staleness_mean: float
    staleness_max: int
    bytes: int


class Report(TypedDict, total=False):
    """Everything report.json holds.

    Accuracies are fractions in [0, 1]; one MAC is a multiply and an add, so FLOPs = 2 x MACs.
    `config`, `command_line` and `created` (ISO 8601) are optional and only shown.
    """

    title: str
    command: Literal["demo", "train", "prune", "eval"]
    command_line: str
    created: str
    network: str
    dataset: str
    seed: int
    versions: dict[str, str]
    machine: Machine
    seconds: Seconds
    accuracy: Change
    loss: Change
    confusion: Confusion | None
    regression: Regression | None
    macs: Change
    flops: Change
    params: Change
    memory: Change  # bytes of inference at batch 1: activations and parameters
    file_bytes: Change
    latency_ms: LatencyChange
    verified: bool | None
    verify: Verify
    target: Target | None
    guard: Guard | None
    rollbacks: list[Undone]
    points: list[Point]
    criterion: Criterion | None
    layers: list[Layer]
    steps: list[Step]
    pruning_loop: Loop
    scores: list[LayerScores]
    trust: Trust
    cluster: Cluster
    training: list[TrainingEpoch]
    skipped: list[Skipped]
    gates: Gates | None
    block_maps: list[BlockMap]
    config: dict[str, Any] | str


def clean_text(value: str) -> str:
    """Return `value` without control characters or lone surrogates, which no page may hold."""
    kept = "".join(c if c >= " " or c in "\n\t" else "\ufffd" for c in value)
    kept = "".join("\ufffd" if "\x7f" <= c <= "\x9f" else c for c in kept)
    return kept.encode("utf-8", "replace").decode("utf-8")


def clean(value: object, where: str = "report", depth: int = 0) -> Any:
    """Turn `value` into plain JSON data: NaN and infinities become None, NumPy becomes Python.

    Args:
        value: mappings, sequences, strings, numbers, NumPy scalars and arrays, paths.
        where: the name of the value in an error.
        depth: how deep `value` already lies.

    Returns:
        Nested dict, list, str, int, float, bool and None.

    Raises:
        DataError: something has no JSON form or nests too deep.
    """
    if depth > _DEEPEST:
        raise DataError(f"write_report: {where} must nest at most {_DEEPEST} deep")
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, str):
        return clean_text(str(value))
    if isinstance(value, Mapping):
        items = cast("Mapping[object, object]", value).items()
        return {clean_text(str(k)): clean(v, f"{where}.{k}", depth + 1) for k, v in items}
    if isinstance(value, list | tuple):
        return [clean(v, f"{where}[{i}]", depth + 1) for i, v in enumerate(value)]
    if hasattr(value, "tolist"):  # NumPy scalars and arrays
        return clean(value.tolist(), where, depth + 1)
    if hasattr(value, "__fspath__"):
        return clean_text(str(value))
    kind = type(value).__name__
    raise DataError(f"write_report: {where} must be a plain value or an array, got {kind}")


def number(source: object, *path: str) -> float | None:
    """Follow `path` through mappings to a finite number; None when there is none."""
    for key in path:
        if not isinstance(source, Mapping):
            return None
        source = source.get(key)
    if isinstance(source, bool) or not isinstance(source, int | float):
        return None
    try:
        value = float(source)
    except OverflowError:
        return None
    return value if abs(value) <= _LARGEST else None  # false for NaN too


def text(source: object, *path: str) -> str:
    """Follow `path` through mappings to a string or number as text; "" when there is none."""
    for key in path:
        if not isinstance(source, Mapping):
            return ""
        source = source.get(key)
    if source is None or isinstance(source, Mapping | list):
        return ""
    try:
        return str(source)
    except ValueError:  # an int of more digits than Python prints
        return "?"


def table(source: object, key: str) -> dict[str, Any]:
    """Return the mapping under `key`, empty when there is none."""
    value = source.get(key) if isinstance(source, Mapping) else None
    return dict(value) if isinstance(value, Mapping) else {}


def entries(source: object, key: str) -> list[dict[str, Any]]:
    """Return the mappings of the list under `key`, empty when there is none."""
    value = source.get(key) if isinstance(source, Mapping) else None
    return [dict(v) for v in value if isinstance(v, Mapping)] if isinstance(value, list) else []
