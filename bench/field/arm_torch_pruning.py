"""One arm by Torch-Pruning, as its own CIFAR script does it; retraining by PyTorch.

Global ranking, pruning_ratio 1 approached in many small steps, the classifier left alone, steps until
the target is met (reproduce/main.py of the project: 400 steps; here so many that a step is about
`Scale.channels` channels, as with the other tool). The Taylor importance reads gradients, which the
user has to provide: they are made anew before every step. A step puts new parameters into the
network, so the optimizer is made anew after a cut and its momentum begins at zero.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
import torch_pruning as tp
from common import Clock, Images, Outcome, accuracy, plan, retraining, share_right
from numpy.typing import NDArray
from scale import Scale
from torch import nn
from weights import to_sentei, to_torch

from peers import torch_models
from sentei import optim
from sentei.model import Model


class Counter:
    """Multiply-adds of convolutions and linear layers: those of sentei.passes.costs."""

    def __init__(self, net: nn.Module, example: torch.Tensor) -> None:
        self.pixels: dict[nn.Module, int] = {}
        hooks = [
            m.register_forward_hook(self._see)
            for m in net.modules()
            if isinstance(m, nn.Conv2d | nn.Linear)
        ]
        with torch.no_grad():
            net(example)
        for h in hooks:
            h.remove()

    def _see(self, module: nn.Module, _: Any, y: torch.Tensor) -> None:
        self.pixels[module] = y[0, 0].numel() if y.ndim == 4 else 1

    def macs(self) -> int:
        return sum(n * m.weight.numel() for m, n in self.pixels.items())  # type: ignore[operator]


class Pruner:
    """Steps of BasePruner down to a share of the multiply-adds, and what they did in silence."""

    def __init__(
        self, net: nn.Module, s: Scale, criterion: str, x: torch.Tensor, t: torch.Tensor
    ) -> None:
        self.net, self.criterion, self.x, self.t = net, criterion, x, t
        example = x[:1]
        net.eval()
        self.counter = Counter(net, example)
        self.whole = self.counter.macs()
        classifier = [m for m in net.modules() if isinstance(m, nn.Linear)][-1]
        importance = {
            "l1": lambda: tp.importance.GroupMagnitudeImportance(p=1),
            "taylor": tp.importance.GroupTaylorImportance,
        }[criterion]()

        def make(steps: int) -> tp.pruner.BasePruner:
            return tp.pruner.BasePruner(
                net, example, importance=importance, global_pruning=True, pruning_ratio=1.0,
                iterative_steps=steps, ignored_layers=[classifier],
            )  # fmt: skip

        first = make(1)
        channels = first.initial_total_channels
        # The layers that its ranking counts, one of each group; read directly, which costs no time.
        self.roots = [
            g[0].dep.target.module
            for g in first.DG.get_all_groups(
                ignored_layers=first.ignored_layers, root_module_types=first.root_module_types
            )
        ]
        self.pruner = make(max(1, round(channels / s.channels)))
        self.channels = channels
        self.steps, self.idle, self.short, self.most = 0, 0, 0, 0

    def down_to(self, share: float, batch: int) -> None:
        """Step until at most this share remains, or the tool has no steps left."""
        self.net.eval()
        while self.counter.macs() > share * self.whole:
            if self.pruner.current_step == self.pruner.iterative_steps:
                break
            if self.criterion == "taylor":
                self.net.zero_grad()
                for x, t in zip(self.x.split(batch), self.t.split(batch), strict=True):
                    F.cross_entropy(self.net(x), t, reduction="sum").backward()
            before = self._widths()
            self.pruner.step()
            gone = before - self._widths()
            self.steps += 1
            self.idle += gone == 0
            kept = 1 - self.pruner.current_step / self.pruner.iterative_steps
            asked = self.channels - int(self.channels * kept)
            self.most = max(self.most, gone)
            self.short = asked - (self.channels - self._widths())
        self.net.zero_grad()

    def _widths(self) -> int:
        """Channels that are left of those that its ranking counts."""
        return sum(len(m.weight) for m in self.roots)


def prune(
    start: Model, s: Scale, data: Images, seed: int, criterion: str, schedule: str, target: float
) -> Outcome:
    """Cut and retrain by the schedule."""
    torch.manual_seed(seed)
    clock = Clock()
    net = to_torch(start, getattr(torch_models, s.network)())
    loader = data.training(s, seed)
    x, labels = data.scored(s, seed)
    x, t = nchw(x), torch.tensor(labels)
    with clock.part("prune"):
        pruner = Pruner(net, s, criterion, x, t)
    lr, done, cut, reached = retraining(s), 0, 0.0, []
    for share, steps in plan(s, schedule, target):
        with clock.part("prune"):
            pruner.down_to(share, s.batch)
        reached.append(pruner.counter.macs() / pruner.whole)
        cut = accuracy(to_sentei(net, start.graph), data)
        with clock.part("retrain"):
            Retraining(net, s, loader, lr, done).steps(steps)
        done += steps
    model = to_sentei(net.eval(), start.graph)
    ops, params = tp.utils.count_ops_and_params(net, x[:1])
    notes = {
        "tool_steps": pruner.steps,
        "steps_without_effect": pruner.idle,
        "channels_short_of_request": pruner.short,
        "most_channels_in_a_step": pruner.most,
        "channels_per_step_asked": pruner.channels / pruner.pruner.iterative_steps,
        "own_count": {"ops": int(ops), "params": int(params)},
        "reached": reached,
        # the same weights by both engines, on the same test images
        "accuracy_of_1000": {
            "torch": own_accuracy(net, data, 1000),
            "sentei": accuracy(model, data, 1000),
        },
    }
    return Outcome(model, cut, clock, notes)


def nchw(x: NDArray[np.float32]) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2)))


class Retraining:
    """Training steps of a network, with the mini-batches and step sizes of the other tool."""

    def __init__(
        self, net: nn.Module, s: Scale, loader: Any, lr: optim.Schedule, done: int = 0
    ) -> None:
        self.net, self.lr, self.loader, self.done = net, s.retrain_lr, loader, done
        weights = [p for p in net.parameters() if p.ndim > 1]
        others = [p for p in net.parameters() if p.ndim == 1]
        groups = [{"params": weights, "weight_decay": s.weight_decay}, {"params": others}]
        self.sgd = torch.optim.SGD(groups, s.retrain_lr, momentum=s.momentum, fused=True)
        self.schedule = lr

    def steps(self, n: int) -> None:
        self.net.train()
        for k in range(self.done, self.done + n):
            epoch, place = divmod(k, len(self.loader.batches(0)))
            x, labels = self.loader.batch(epoch, place)
            for g in self.sgd.param_groups:
                g["lr"] = self.schedule(self.lr, k, epoch)
            self.sgd.zero_grad(set_to_none=True)
            F.cross_entropy(self.net(nchw(x)), torch.tensor(labels)).backward()
            self.sgd.step()
        self.done += n


def own_accuracy(net: nn.Module, data: Images, count: int | None = None) -> float:
    """By PyTorch itself."""
    net.eval()
    with torch.inference_mode():
        return share_right(lambda x: net(nchw(x)).numpy(), data, count)
