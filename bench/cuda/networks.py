"""Training steps of whole networks on the device, ours and the peer's, on inputs that stay there."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from timing import Machine, flags, torch

from sentei import losses, nn, optim
from sentei.model import Model
from sentei.nn import models
from sentei.train.step import StepGraph, StepRunner, build_step

LR = 0.01
BATCH = {"vgg16": 32}  # others as peers.torch_models.CASES says
TINY = "tiny"  # for dry runs: the network and input that the emulator runs at once
TINY_INPUT = (8, 8, 3)


def input_of(name: str) -> tuple[tuple[int, int, int], int]:
    """(H, W, C) and the batch."""
    if name == TINY:
        return TINY_INPUT, 2
    from peers.torch_models import CASES

    _, (c, h, w), batch = CASES[name]
    return (h, w, c), BATCH.get(name, batch)


def batch_of(name: str, seed: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    shape, n = input_of(name)
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, *shape), np.float32), rng.integers(0, 10, n)


@lru_cache(2)
def _on_host(name: str) -> Model:
    if name == TINY:
        layers = [nn.Conv2d(4, 3, padding=1, bias=False), nn.BatchNorm(), nn.ReLU()]
        net = nn.Sequential(*layers, nn.MaxPool2d(2), nn.Flatten(), nn.Linear(10))
        return nn.build(net, TINY_INPUT, seed=0)
    return models.build(name, input_of(name)[0], classes=10, seed=0)


def our_model(name: str) -> Model:
    """A copy of its own on the device."""
    return _on_host(name).to("cuda")


def our_step(name: str, products: str, scored: bool = False) -> tuple[StepGraph, StepRunner]:
    """A captured step of SGD with momentum, its first batch in place.

    scored: it also gathers the sums behind the scores of every convolution's channels.
    """
    model = our_model(name)
    layers = [n.name for n in model.graph.nodes if n.op.name == "conv2d"] if scored else []
    sgd = optim.SGD(LR, momentum=0.9)
    step = build_step(model, losses.CrossEntropy(), (), sgd, products, layers)
    runner = StepRunner(step, {**model.tensors, **step.states}, input_of(name)[1])
    runner.feed(feeds_of(runner, name, 0, 0))
    return step, runner


def feeds_of(runner: StepRunner, name: str, seed: int, step: int) -> dict[str, NDArray[Any]]:
    """Inputs of one step: images, labels, step size, and the numbers that dropout draws from."""
    x, labels = batch_of(name, seed)
    feeds: dict[str, NDArray[Any]] = {"x": x, "labels": labels}
    feeds["lr"] = np.array([LR / (1 + 0.01 * step)], np.float32)
    if "rng" in runner.inputs:
        feeds["rng"] = np.array([0, step], np.int64)
    return feeds


def peer_model(name: str) -> Any:
    if name == TINY:
        layers = [torch.nn.Conv2d(3, 4, 3, padding=1, bias=False), torch.nn.BatchNorm2d(4)]
        head = [torch.nn.ReLU(), torch.nn.MaxPool2d(2), torch.nn.Flatten()]
        return torch.nn.Sequential(*layers, *head, torch.nn.Linear(4 * 4 * 4, 10))
    from peers.torch_models import CASES

    return CASES[name][0]()


# How PyTorch is run. precision: of convolutions and matrix products; default is what users get.
MODES: dict[str, dict[str, Any]] = {
    "torch_default": {"precision": "tf32 convolution, float32 matrix", "layout": "NCHW"},
    "torch_float32_graph": {"precision": "float32", "layout": "NHWC", "graph": True},
    "torch_tf32": {"precision": "tf32", "layout": "NHWC"},
    "torch_tf32_graph": {"precision": "tf32", "layout": "NHWC", "graph": True},
    "torch_bf16": {"precision": "bfloat16", "layout": "NHWC"},
    "torch_bf16_graph": {"precision": "bfloat16", "layout": "NHWC", "graph": True},
    "torch_bf16_compile_graph": {
        "precision": "bfloat16",
        "layout": "NHWC",
        "graph": True,
        "compile": True,
    },
}


@contextmanager
def peer_switches(mode: str) -> Iterator[None]:
    """What the mode says; the default mode keeps PyTorch's own."""
    if mode == "torch_default":
        with flags(tf32=True, benchmark=False):
            torch.backends.cuda.matmul.allow_tf32 = False
            yield
        return
    with flags(tf32=MODES[mode]["precision"] != "float32", benchmark=True):
        yield


def peer_step(machine: Machine, name: str, mode: str) -> Any:
    """One training step of the peer as a call that returns its loss; captured where the mode says."""
    told, place = MODES[mode], machine.torch_device
    torch.manual_seed(0)
    fast = mode != "torch_default"
    layout = torch.contiguous_format if told["layout"] == "NCHW" else torch.channels_last
    net = peer_model(name).to(place).to(memory_format=layout).train()
    x, labels = batch_of(name, 0)
    tx = torch.from_numpy(x).permute(0, 3, 1, 2).to(place).contiguous(memory_format=layout)
    t = torch.from_numpy(labels).to(place)
    opt = torch.optim.SGD(net.parameters(), LR, momentum=0.9, fused=fast or None)
    half = told["precision"] == "bfloat16"
    # The emulator's machine has no compiler to wait for; there the mode is run as it is.
    run = torch.compile(net) if told.get("compile") and not machine.dry else net
    keep_grads = bool(told.get("graph"))

    def step() -> Any:
        opt.zero_grad(set_to_none=not keep_grads)
        with torch.autocast(place, torch.bfloat16, enabled=half):
            loss = torch.nn.functional.cross_entropy(run(tx), t)
        loss.backward()
        opt.step()
        return loss.detach()

    if not told.get("graph") or machine.dry:
        return step
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(4):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        loss = step()

    def replay() -> Any:
        graph.replay()
        return loss

    return replay


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """TimeoutError when the block takes longer (compilers of peers do)."""

    def late(*_: object) -> None:
        raise TimeoutError(f"took more than {seconds:.0f} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.1))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
