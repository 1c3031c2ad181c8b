"""A hard limit per test, and one Ray for all tests that need it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from extras import need

LIMIT = 300  # seconds, also on a machine with other work; a hang is a failure


@pytest.fixture(autouse=True)
def limit() -> Iterator[None]:
    def over(*_: object) -> None:
        raise TimeoutError(f"the test must end within {LIMIT} s")

    before = signal.signal(signal.SIGALRM, over)
    signal.alarm(LIMIT)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def children() -> set[int]:
    """Processes that descend from this one."""
    parents = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                stat = (folder / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if stat[0] != "Z":
                parents[int(folder.name)] = int(stat[1])
    found, grown = {os.getpid()}, True
    while grown:
        more = {p for p, parent in parents.items() if parent in found} - found
        found |= more
        grown = bool(more)
    return found - {os.getpid()}


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[object]:
    need("ray")
    import sentei.distributed as sd

    with sd.cluster(cpus=2, memory=128 << 20) as found:
        yield found
