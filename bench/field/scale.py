"""What is run: networks, images, epochs, targets, and how the retraining is spread."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

# Tool and criterion. Torch-Pruning's group importances, and the nearest of ours: l1_std is |w|_1 of a
# filter, but for a term of at most 0.5; oracle is |E[x.g]|, the first-order Taylor term; robust is our
# default.
ARMS = (
    ("torch_pruning", "l1"),
    ("sentei", "l1_std"),
    ("torch_pruning", "taylor"),
    ("sentei", "oracle"),
    ("sentei", "robust"),
)
# once: cut to the target, then retrain. rounds: cut in equal shares of FLOPs, retrain after each.
SCHEDULES = ("once", "rounds")


@dataclass(frozen=True)
class Scale:
    """One network's settings, the same for both tools.

    images, test_images: the first so many of CIFAR-10. epochs, lr: of the starting network. steps,
    retrain_lr: of all retraining together, batches of `batch`. rounds: of the schedule "rounds", which spends
    half of the steps on them in equal parts, the other half after the last. score_images: seen by
    gradient criteria whenever they score. channels: about so many leave between two scorings.
    """

    network: str
    images: int = 10_000
    test_images: int = 2000
    epochs: int = 10
    lr: float = 0.1
    steps: int = 100
    retrain_lr: float = 0.02
    momentum: float = 0.9
    weight_decay: float = 5e-4
    batch: int = 100
    rounds: int = 5
    score_images: int = 100
    channels: int = 4
    targets: tuple[float, ...] = (0.5, 0.3)
    schedules: tuple[str, ...] = SCHEDULES
    arms: tuple[tuple[str, str], ...] = ARMS


# Two cores that others use too, an hour. The larger networks are trained for so few steps that their
# accuracy says little of what they can do; both tools begin from the same.
_SHORT: dict[str, Any] = {
    "targets": (0.5,), "schedules": ("once",), "arms": tuple(a for a in ARMS if a[1] != "oracle"),
}  # fmt: skip
SMALL = {
    s.network: s
    for s in (
        Scale("resnet20"),
        Scale("vgg13_like", epochs=2, lr=0.02, steps=30, channels=32, **_SHORT),
        Scale("resnet18_like", epochs=3, steps=40, channels=16, **_SHORT),
        Scale("resnet56", epochs=2, steps=30, channels=24, **_SHORT),
    )
}
# As papers do it: all of CIFAR-10, one channel at a time. Days on two cores.
FULL = {
    k: replace(s, images=50_000, epochs=160, steps=20_000, rounds=20, score_images=1000,
               channels=1, targets=(0.7, 0.5, 0.3), schedules=SCHEDULES, arms=ARMS, test_images=10_000)
    for k, s in SMALL.items()
}  # fmt: skip
# Enough to see that every part works.
TINY = {
    k: replace(s, images=100, test_images=100, epochs=1, steps=2, batch=20, rounds=2, score_images=20,
               channels=32, targets=(0.8,))
    for k, s in SMALL.items()
}  # fmt: skip
SCALES = {"small": SMALL, "full": FULL, "tiny": TINY}
