"""What the tests of the trainer share."""

from __future__ import annotations

from sentei import optim
from sentei.train import Trainer

OPTIMIZERS = {
    "momentum": optim.SGD(0.05, momentum=0.9, weight_decay=1e-3),
    "adam": optim.Adam(0.01),
    "semi_sync": optim.SemiSync(optim.SGD(0.05, momentum=0.9), permute_seed=2),
    "semi_sync_lazy": optim.SemiSync(optim.SGD(0.05, momentum=0.9), permute_seed=2, lazy=True),
    "semi_sync_adam": optim.SemiSync(optim.Adam(0.01), convolutions="conv1", groups={"conv1": 2}),
    "adagrad": optim.AdaGrad(0.02),
    "lbfgs": optim.LBFGS(memory=3, chunk=16, weight_decay=1e-3),
}


def timeless(history):
    return [
        {k: v for k, v in row.items() if k not in ("seconds", "images_per_s")} for row in history
    ]


def everything(t: Trainer) -> dict:
    return {**t.model.tensors, **{f"state.{k}": v for k, v in t.state_tensors.items()}}
