"""Training step and inference in sentei, at each precision that this build takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentei import losses, optim
from sentei.model import Model
from sentei.train.step import StepRunner, build_step

Arm = Callable[[], object]
DEFAULT = "float32"
LR = 1e-4  # as the peers


def arm_name(precision: str) -> str:
    """Name of an arm in records: the default numerics are plain `sentei`."""
    return "sentei" if precision == DEFAULT else f"sentei_{precision}"


def our_arm(
    model: Model, precision: str, work: str, x: NDArray[np.float32], labels: NDArray[Any]
) -> Arm:
    """One call is a step (SGD with momentum; it trains the model) or one inference, on images in place.

    Raises:
        ValueError: this build does not take the precision here.
    """

    if work == "infer":
        runner = model.predictor(len(x), precision=precision).runner(len(x))
        runner.set("x", x)
        return runner.run
    sgd = optim.SGD(LR, momentum=0.9)
    step = build_step(model, losses.CrossEntropy(), (), sgd, precision)
    runner = StepRunner(step, {**model.tensors, **step.states}, len(x))
    feeds = {"x": x, "labels": labels, "lr": np.array([LR], np.float32)}
    if "rng" in runner.inputs:
        feeds["rng"] = np.zeros(2, np.int64)

    def one() -> float:
        if not runner.step(feeds):
            raise FloatingPointError(f"the loss at {precision} is not finite")
        return runner.read()[0].loss

    return one


def our_arms(
    model: Model, precisions: list[str], work: str, x: NDArray[np.float32], labels: NDArray[Any]
) -> tuple[dict[str, Arm], dict[str, str]]:
    """Arms by name, each called once, and why one is missing."""
    arms: dict[str, Arm] = {}
    missing: dict[str, str] = {}
    for precision in precisions:
        try:
            arm = our_arm(model, precision, work, x, labels)
            arm()
        except ValueError as e:
            if precision == DEFAULT:
                raise
            missing[arm_name(precision)] = str(e)
            continue
        arms[arm_name(precision)] = arm
    return arms, missing
