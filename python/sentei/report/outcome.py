"""Parts of report.json that say what pruning came to: latency, points, what was lost or undone."""

from typing import TypedDict

__all__ = ["Guard", "Latency", "Point", "Undone"]


class Latency(TypedDict, total=False):
    """Milliseconds per call at one batch size."""

    median: float
    p10: float
    p90: float


class Guard(TypedDict, total=False):
    """Accuracy on held-out training images of the network before pruning and of the result, judged
    after all is done; max_drop: points of a hundred that it might lose."""

    max_drop: float
    images: int
    before: float
    after: float
    kept: bool


class Undone(TypedDict, total=False):
    """A round of pruning that was taken back; `drop` in points of a hundred."""

    layer: str
    channel: int
    members: list[tuple[str, int]]
    before: float
    after: float
    drop: float


class Point(TypedDict, total=False):
    """A network of a run with several targets, judged on the test images."""

    target: str
    file: str
    accuracy: float | None
    flops: int
    macs: int
    params: int
    memory: int
    latency_ms: dict[str, Latency] | None
