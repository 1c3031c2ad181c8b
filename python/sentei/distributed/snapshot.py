"""What a parameter shard was at one moment, in ONE file: numbers without their table are of no use."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as to_bytes

from sentei.errors import DataError
from sentei.io.atomic import replacing

__all__ = ["Snapshot", "newest", "read_snapshot", "write_snapshot"]

FORMAT = 1
_NAME = re.compile(r"shard-(\d+)\.(\d+)\.(\d+)\.safetensors")
_KEPT = 2  # versions of a shard: others may be one behind


@dataclass
class Snapshot:
    """weights, sums (of AdaGrad, or momenta; may be None), positions {chunk: next push} and counters.

    run: which run it belongs to. shard: number. life: how often the shard has been started; a process
    that was given up writes under its own, older life and does no harm. version: updates applied.
    """

    run: str
    shard: int
    life: int
    version: int
    weights: NDArray[np.float32]
    sums: NDArray[np.float32] | None
    positions: dict[int, int] = field(default_factory=dict)
    counters: dict[str, int] = field(default_factory=dict)


def _files(folder: Path, shard: int) -> list[tuple[int, int, Path]]:
    """(life, version, path) of a shard's snapshots, oldest first."""
    found = []
    for path in folder.glob(f"shard-{shard}.*.safetensors"):
        if m := _NAME.fullmatch(path.name):
            found.append((int(m[2]), int(m[3]), path))
    return sorted(found)


def newest(folder: Path, shard: int, version: int | None = None) -> Path | None:
    """The snapshot of a shard's last life, or the last one of this version."""
    found = [p for _, v, p in _files(folder, shard) if version is None or v == version]
    return found[-1] if found else None


def write_snapshot(folder: Path, s: Snapshot, midway: Callable[[], object] = lambda: None) -> None:
    """Write beside, rename, then remove all but the last two versions of the shard.

    midway: called when half of the file is written.
    """
    table = np.array(sorted(s.positions.items()), np.int64).reshape(-1, 2)
    tensors: dict[str, NDArray[Any]] = {"weights": s.weights, "positions": table}
    if s.sums is not None:
        tensors["sums"] = s.sums
    about = {
        "format": FORMAT,
        "run": s.run,
        "shard": s.shard,
        "life": s.life,
        "version": s.version,
        "counters": s.counters,
    }
    data = to_bytes(tensors, {"sentei-shard": json.dumps(about)})
    path = folder / f"shard-{s.shard}.{s.life:06d}.{s.version:012d}.safetensors"
    with replacing(path) as file:
        file.write(data[: len(data) // 2])
        midway()
        file.write(data[len(data) // 2 :])
    _tidy(folder, s)


def _tidy(folder: Path, s: Snapshot) -> None:
    """Keep the last versions up to this one, each of the last life that has written it."""
    files = [f for f in _files(folder, s.shard) if f[0] <= s.life]
    last = {version: path for _, version, path in files if version <= s.version}
    kept = {last[v] for v in sorted(last)[-_KEPT:]}
    for _, _, path in files:
        if path not in kept:
            with suppress(OSError):
                path.unlink()


def read_snapshot(path: Path, run: str, shard: int, size: int, with_sums: bool) -> Snapshot:
    """Read a snapshot of this run, shard and size.

    Raises:
        DataError: it is damaged, or of another run.
    """
    try:
        with safe_open(str(path), framework="numpy") as file:
            about = json.loads((file.metadata() or {})["sentei-shard"])
            names = {"weights", "positions", *(["sums"] if with_sums else [])}
            if set(file.keys()) != names:
                raise DataError(f"snapshot: {path} must hold {sorted(names)}")
            for name in names:
                part = file.get_slice(name)
                shape, kind = list(part.get_shape()), str(part.get_dtype())
                good = (
                    kind == "I64" and shape[1:] == [2]
                    if name == "positions"
                    else kind == "F32" and shape == [size]
                )
                if not good:
                    raise DataError(
                        f"snapshot: {path}: {name} must fit {size} parameters, got {kind} of {shape}"
                    )
            tensors = {name: file.get_tensor(name) for name in names}
            if about["format"] != FORMAT or about["run"] != run or about["shard"] != shard:
                raise DataError(f"snapshot: {path} must be of shard {shard} of this run")
            return Snapshot(
                run,
                shard,
                int(about["life"]),
                int(about["version"]),
                tensors["weights"].copy(),
                tensors["sums"].copy() if with_sums else None,
                {int(c): int(n) for c, n in tensors["positions"]},
                {str(k): int(v) for k, v in about["counters"].items()},
            )
    except DataError:
        raise
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, AttributeError) as e:
        raise DataError(f"snapshot: {path} must be a whole snapshot, got: {e}") from e
