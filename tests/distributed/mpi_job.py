"""What the ranks of the MPI tests run: python mpi_job.py WHAT OUT."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import sentei.distributed as sd
from sentei import nn
from sentei.device import set_threads
from sentei.optim import SGD, Adam, SemiSync
from sentei.regularizers import LogActivity
from sentei.train import Callback, Trainer
from toys import toy_data, toy_net

OPTIMIZERS = {
    "sgd": lambda: SGD(0.05, momentum=0.9, weight_decay=1e-3),
    "adam": lambda: Adam(0.01),
    "semi": lambda: SemiSync(SGD(0.05, momentum=0.9)),
    "sparse": lambda: SGD(0.05),
}


class Death(Callback):
    """Rank 1 kills itself at one step, unless the file is there that says it did before."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def on_step_end(self, trainer: Trainer) -> None:
        if trainer.step == 7 and trainer.world.rank == 1 and not self.mark.exists():
            self.mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)


def residual():
    """A block with a normalised shortcut, and a batch norm behind a linear layer."""
    block = nn.Residual(
        nn.Sequential(nn.Conv2d(4, 3, padding=1, bias=False), nn.BatchNorm()),
        nn.Sequential(nn.Conv2d(4, 1, bias=False), nn.BatchNorm()),
    )
    layers = [block, nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8, bias=False)]
    return nn.build(nn.Sequential(*layers, nn.BatchNorm(), nn.ReLU(), nn.Linear(3)), (6, 6, 2))


def pooled():
    """A batch norm that is folded with ReLU and pooling, on images of noise: no two values tie."""
    layers = [nn.Conv2d(4, 3, padding=1, bias=False), nn.BatchNorm(), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.build(nn.Sequential(*layers, nn.Flatten(), nn.Linear(3)), (6, 6, 2))


def train(kind: str, out: Path, **more) -> Trainer:
    net = {"residual": residual, "pool": pooled}.get(kind, toy_net)()
    return sd.data_parallel(
        net,
        toy_data(60),
        toy_data(30, 7),
        optimizer=OPTIMIZERS.get(kind, OPTIMIZERS["sgd"])(),
        regularizers=[LogActivity(0.1)] if kind == "sparse" else [],
        batch=12,
        epochs=3,
        seed=3,
        progress="none",
        **more,
    )


def split_net() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((24, 6, 6, 2)).astype(np.float32)
    labels = (np.arange(24) % 4).astype(np.int64)
    layers = [nn.Conv2d(6, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 3, bias=False)]
    layers += [nn.BatchNorm(), nn.ReLU(), nn.Flatten(), nn.Linear(12), nn.ReLU(), nn.Linear(4)]
    whole = nn.build(nn.Sequential(*layers), (6, 6, 2), seed=1)
    part = sd.split(whole, [n.name for n in whole.graph.nodes if n.op.name in ("conv2d", "linear")])
    trainer = Trainer(part.model, SGD(0.05, momentum=0.9), batch=12, seed=2)
    trainer.steps((x, labels), 6)
    return part.join().arrays()


def outcome(trainer: Trainer) -> dict[str, np.ndarray]:
    """Parameters and figures of every epoch."""
    found = trainer.model.arrays()
    for key in ("loss", "val_loss", "accuracy"):
        found[key] = np.array([r[key] for r in trainer.history])
    return found


def alone(what: str) -> dict[str, np.ndarray]:
    """What one process comes to, here and now."""
    return split_net() if what == "split" else outcome(train(what, Path()))


def main(what: str, out: Path) -> None:
    set_threads(1)
    world = sd.comm()
    if what == "split":
        found = split_net()
    elif what == "death":
        trainer = train(
            "sgd",
            out,
            callbacks=[Death(out.with_suffix(".mark"))],
            checkpoint=out.with_suffix(".ckpt"),
        )
        found = trainer.model.arrays()
    elif what == "different":
        trainer = train("sgd", out)
        if world.rank:
            first = next(iter(trainer.model.tensors.values()))
            first.copy_from(first.numpy() + 1)
        trainer.world.agree(trainer.model.tensors)
        return
    elif what == "nan":
        x = np.ones((12, 6, 6, 2), np.float32)
        x[11] = np.nan  # a sample of the last rank
        data = (x, np.zeros(12, np.int64))
        sd.data_parallel(toy_net(0), data, optimizer=SGD(0.1), batch=12, progress="none")
        return
    else:
        trainer = train(what.removesuffix("-late"), out, overlap=not what.endswith("-late"))
        found = outcome(trainer)
    if world.rank == 0:
        np.savez(out, **found)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
