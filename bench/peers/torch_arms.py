"""Training step and inference in PyTorch at their best, in each of its modes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

MODES = ("nchw", "channels_last", "compile", "compile_channels_last")
LAYOUTS = {f"torch_{m}": "NHWC" if "channels_last" in m else "NCHW" for m in MODES}

LR = 1e-4  # small: without batch norm a larger one diverges on noise

Arm = Callable[[], object]


def torch_arm(
    make: Callable[[], torch.nn.Module],
    mode: str,
    work: str,
    x: NDArray[np.float32],
    labels: NDArray[Any],
) -> Arm:
    """One call is a step (SGD with momentum, all parameters in one fused kernel), or one inference.

    Args:
        make: builds the network. mode: one of MODES. work: train or infer. x: images (N, H, W, C).
    Raises:
        Whatever compiling raises; set the number of threads before, compiled code keeps it.
    """
    torch.manual_seed(0)
    net = make()
    tx = torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2)))
    if mode.endswith("channels_last"):
        net = net.to(memory_format=torch.channels_last)
        tx = tx.contiguous(memory_format=torch.channels_last)
    compiled = mode.startswith("compile")
    if work == "infer":
        net = net.eval()
        # Freezing folds batch norm into the convolutions and packs weights once.
        run = torch.compile(net, dynamic=False, options={"freezing": True}) if compiled else net

        def infer() -> object:
            with torch.no_grad() if compiled else torch.inference_mode():
                return run(tx)

        return infer
    t = torch.from_numpy(labels)
    opt = torch.optim.SGD(net.parameters(), LR, momentum=0.9, fused=True)
    forward = torch.compile(net, dynamic=False) if compiled else net

    def step() -> float:
        opt.zero_grad(set_to_none=True)
        loss = F.cross_entropy(forward(tx), t)
        loss.backward()
        opt.step()
        return float(loss.detach())

    return step


def torch_arms(
    make: Callable[[], torch.nn.Module],
    modes: list[str],
    work: str,
    x: NDArray[np.float32],
    labels: NDArray[Any],
) -> tuple[dict[str, Arm], dict[str, str], dict[str, float]]:
    """Arms by name, each called once (so compiled); why one is missing; seconds of the first calls."""
    arms: dict[str, Arm] = {}
    missing: dict[str, str] = {}
    first: dict[str, float] = {}
    torch._dynamo.reset()  # compiled code of earlier networks counts against a limit
    for mode in modes:
        start = time.perf_counter()
        try:
            arm = torch_arm(make, mode, work, x, labels)
            arm()
        except Exception as e:  # a peer that fails is named, and must not end the run
            if not mode.startswith("compile"):
                raise
            missing[f"torch_{mode}"] = f"{type(e).__name__}: {str(e).strip()[:300]}"
            continue
        arms[f"torch_{mode}"] = arm
        first[f"torch_{mode}"] = round(time.perf_counter() - start, 3)
    return arms, missing, first
