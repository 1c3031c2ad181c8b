"""Can a network learn a handful of samples by heart? If not, why."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentei.errors import DataError, NonFiniteError
from sentei.losses import CrossEntropy, Loss
from sentei.model import Model
from sentei.optim import Adam
from sentei.train import Trainer
from sentei.workflow.check.anatomy import Anatomy, without_dropout

__all__ = ["Overfit", "check_overfit", "handful"]

_WINDOW = 50  # steps over which "still falling" is judged


@dataclass(frozen=True)
class Overfit:
    """losses: of every step, before it. findings: what is wrong when `reached` is False."""

    reached: bool
    losses: tuple[float, ...]
    target: float
    findings: tuple[str, ...]

    @property
    def steps(self) -> int:
        return len(self.losses)

    def to_json(self) -> dict[str, Any]:
        """The check as JSON data."""
        return {**asdict(self), "steps": self.steps}


def handful(labels: NDArray[Any], count: int, seed: int = 0) -> NDArray[np.int64]:
    """Indices of `count` samples, as many of every class as can be (targets: any)."""
    order = np.random.default_rng([seed, 2]).permutation(len(labels))
    if labels.ndim == 1:
        # round by round over the classes
        turn = np.zeros(len(labels), np.int64)
        for k in np.unique(labels):
            own = order[labels[order] == k]
            turn[own] = np.arange(len(own))
        order = order[np.argsort(turn[order], kind="stable")]
    return np.sort(order[:count])


def check_overfit(
    model: Model,
    x: NDArray[np.float32],
    labels: NDArray[Any],
    loss: Loss | None = None,
    *,
    steps: int = 500,
    lr: float = 1e-3,
    target: float = 0.01,
    seed: int = 0,
    progress: Callable[[int, int, str], None] | None = None,
) -> Overfit:
    """Train a copy on these samples alone, without dropout or penalties, until the loss is ~0.

    Args:
        model: not changed. x (array, (N, ...), float32), labels: about ten samples.
        steps: of Adam, at most. lr: its step size. target: loss that counts as 0.
    Raises:
        DataError: no sample.
    Source:
        L: "can it drive the loss of a tiny set to zero".
    """
    if not len(x):
        raise DataError("check: there must be at least one sample, got none")
    if steps < 1:
        raise ValueError(f"check: steps must be at least 1, got {steps}")
    loss = loss or CrossEntropy()
    plain = without_dropout(model.copy())
    trainer = Trainer(plain, Adam(lr), loss, batch=len(x), seed=seed)
    data = (x, labels)
    found: list[float] = []
    findings: list[str] = []
    try:
        for i in range(steps):
            found.append(trainer.steps(data, 1)["loss"])
            if progress is not None:
                progress(i, steps, f"loss {found[-1]:.4g}")
            if found[-1] <= target:
                return Overfit(True, tuple(found), target, ())
    except NonFiniteError as e:
        findings.append(
            f"the loss is not finite at step {e.step}, first in {e.where}: lower --lr ({lr:g}), or "
            "look at the initial weights and the scale of the images"
        )
        return Overfit(False, tuple(found), target, tuple(findings))
    findings += _contradictions(x, labels)
    findings += _anatomy(trainer.model, loss, x, labels)
    findings = findings or _course(found, lr)
    return Overfit(False, tuple(found), target, tuple(findings))


def _contradictions(x: NDArray[np.float32], labels: NDArray[Any]) -> list[str]:
    """Equal samples with unlike labels."""
    seen: dict[bytes, int] = {}
    for i, sample in enumerate(x):
        j = seen.setdefault(sample.tobytes(), i)
        if not np.array_equal(labels[i], labels[j]):
            return [f"samples {j} and {i} are the same image with different labels: no network can"]
    return []


def _anatomy(model: Model, loss: Loss, x: NDArray[np.float32], labels: NDArray[Any]) -> list[str]:
    """What the values and gradients of the trained copy say."""
    a = Anatomy(model, loss, (), x, labels)
    a.run()
    said = []
    for n in a.nodes:
        if n.op.name == "relu" and not a.map(n).any():
            said.append(
                f"{n.name} gives 0 for every sample, so that nothing behind it is seen: its units are "
                "dead (lower --lr, other initial weights, leaky ReLU)"
            )
    if len(x) > 1 and np.ptp(a.outputs(), axis=0).max() <= 1e-3 * max(1, np.abs(a.outputs()).max()):
        said.append("the outputs are nearly the same for all samples: the images do not reach them")
    norms = {
        p: float(np.linalg.norm(a.gradient(p)))
        for p in model.graph.by_role("param")
        if p in a.gradients and p.endswith("weight")
    }
    largest = max(norms.values(), default=0.0)
    faint = [p for p, g in norms.items() if g <= 1e-4 * largest]
    if faint and largest:
        said.append(
            f"gradients vanish: that of {faint[0]} is {norms[faint[0]]:.2g}, the largest is "
            f"{largest:.2g} (batch norm, other initial weights or activations)"
        )
    left_out = [p for p in model.graph.by_role("param") if p not in a.gradients]
    if left_out:
        said.append(f"the loss does not depend on {', '.join(left_out[:3])}")
    return said


def _course(losses: list[float], lr: float) -> list[str]:
    """What the way of the loss says."""
    last, before = losses[-_WINDOW:], losses[-2 * _WINDOW : -_WINDOW]
    if not before:
        return [f"only {len(losses)} steps were made: give it more (--steps)"]
    now, then = float(np.mean(last)), float(np.mean(before))
    if now < 0.99 * then:
        return [
            f"the loss is still falling, {losses[-1]:.3g} now: give it more --steps, or raise --lr"
        ]
    rising = sum(b > a for a, b in itertools.pairwise(last))
    if rising > len(last) // 4:
        return [f"the loss goes up and down about {now:.3g}: lower --lr ({lr:g})"]
    if math.isclose(now, losses[0], rel_tol=0.02):
        return [
            f"the loss stays where it was, {now:.3g}: raise --lr ({lr:g}), or nothing is learnt"
        ]
    return [f"the loss stays at {now:.3g}: the network may be too narrow for these samples"]
