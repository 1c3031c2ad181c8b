"""Train on all ranks of MPI as one process would on the whole mini-batch."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sentei.distributed.mpi import Comm
from sentei.distributed.replicate import DataParallel
from sentei.errors import NonFiniteError
from sentei.losses import Loss
from sentei.model import Model
from sentei.optim import Optimizer, Schedule
from sentei.regularizers import Regularizer
from sentei.train import Callback, Checkpoint, Trainer
from sentei.train.feed import Data
from sentei.train.progress import Show

__all__ = ["data_parallel", "together"]


def data_parallel(
    model: Model,
    train: Data,
    val: Data | None = None,
    *,
    optimizer: Optimizer,
    loss: Loss | None = None,
    batch: int = 100,
    epochs: int = 1,
    seed: int = 0,
    schedule: Schedule | None = None,
    regularizers: Sequence[Regularizer] = (),
    callbacks: Sequence[Callback] = (),
    precision: str = "float32",
    checkpoint: str | Path | None = None,
    progress: Show = "auto",
    comm: Comm | None = None,
    overlap: bool | None = None,
) -> Trainer:
    """Train with every mini-batch cut over the ranks; the trajectory is that of one process.

    g = sum over ranks r of (n_r / N) g_r, with the statistics of batch norm, the figures and dropout
    masks of the whole mini-batch. Every rank calls this with the same arguments and data.

    Args:
        model, train, val, optimizer, loss, batch, epochs, seed, schedule, regularizers, callbacks,
        precision: as for Trainer and Trainer.fit; batch is that of all ranks together.
        checkpoint: written by rank 0 after every epoch; where the file is there already, training goes
            on from it, on as many ranks as there are now. Every rank must be able to read it.
        comm: None: `sentei.distributed.comm()`. overlap: see DataParallel.
    Returns:
        The trainer; its model has the same bits on all ranks.
    Raises:
        ValueError: something that cannot be cut into parts (DataParallel.check).
        MpiError: ranks have come to different parameters.
        What only one rank meets (a full disk) ends the whole job.
    """
    world = DataParallel(comm, overlap=overlap)
    with together(world.comm):
        made = list(callbacks)
        if checkpoint is not None:
            made.append(Checkpoint(checkpoint))
        found = checkpoint is not None and Path(checkpoint).is_file()
        if world.comm.any(found):
            assert checkpoint is not None
            trainer = Trainer.resume(
                checkpoint,
                optimizer=optimizer,
                loss=loss,
                schedule=schedule,
                callbacks=made,
                world=world,
            )
        else:
            trainer = Trainer(
                model,
                optimizer,
                loss,
                batch=batch,
                seed=seed,
                schedule=schedule,
                regularizers=regularizers,
                callbacks=made,
                precision=precision,
                world=world,
            )
        trainer.fit(train, val, epochs=epochs, progress="none" if world.rank else progress)
    return trainer


@contextmanager
def together(ranks: Comm) -> Iterator[None]:
    """What ends one rank inside the block ends all of them; what all meet at once is an exception.

    NonFiniteError and an agreed Ctrl-C come to all ranks in the same step.
    """
    try:
        yield
    except (NonFiniteError, KeyboardInterrupt):
        raise
    except BaseException as e:
        if ranks.size > 1:
            text = " ".join(str(e).split()) or type(e).__name__
            print(f"sentei: rank {ranks.rank} of {ranks.size}: {text}", file=sys.stderr, flush=True)
            ranks.abort(1)
        raise
