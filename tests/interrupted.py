"""Runs that are stopped at a chosen moment, and the comparison with one that was not."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np

from sentei import io
from sentei.report import read_events
from sentei.workflow import Watch


def same(a: Path, b: Path) -> None:
    for name in ("model", "pruned"):
        x, y = (io.load(d / f"{name}.safetensors") for d in (a, b))
        assert x.arrays().keys() == y.arrays().keys()
        for key, array in x.arrays().items():
            assert np.array_equal(array, y.arrays()[key]), key
    steps = [
        [
            (s["layer"], s["channel"], s["score"])
            for s in io.load(d / "pruned.safetensors").meta["history"]
        ]
        for d in (a, b)
    ]
    assert steps[0] == steps[1]
    scores = [io.load(d / "pruned.safetensors").meta["scores"] for d in (a, b)]
    assert scores[0] and scores[0] == scores[1]
    epochs = [
        {
            (e["phase"], e["epoch"]): e["loss"]
            for e in read_events(d / "events.jsonl")
            if e["event"] == "epoch"
        }
        for d in (a, b)
    ]
    assert epochs[0] == epochs[1]


class Stop(Watch):
    """Presses Ctrl-C at one moment of a run."""

    def __init__(self, hook: str, count: int) -> None:
        self.hook, self.left = hook, count

    def _seen(self, hook: str) -> None:
        if hook == self.hook:
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGINT)

    def stage(self, text):
        self._phase = text.split()[0].rstrip(",")
        self._seen(f"stage {self._phase}")

    def fit_step(self, done, loss, accuracy, rate):
        self._seen(f"step of {self._phase}")

    def epoch(self, row, epochs):
        self._seen(f"epoch of {self._phase}")

    def prune_step(self, step, now):
        self._seen("prune_step")
