"""Downpour SGD: replicas that fetch, compute and push as they like, around sharded parameters."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sentei.describe import described
from sentei.distributed.clock import Clock
from sentei.distributed.dispatch import Coordinator
from sentei.distributed.engine import current
from sentei.distributed.leases import Leases
from sentei.distributed.objective import Chunks, Recipe, lengths_of, start_of, updates_of
from sentei.distributed.replica import Downpour, Replica
from sentei.distributed.result import Counters, Result, Show
from sentei.distributed.servers import Servers, drawn, run_name, stored
from sentei.distributed.shard import check_rule
from sentei.optim import Optimizer, Schedule

__all__ = ["downpour"]


def downpour(
    model: Recipe,
    chunks: Chunks,
    *,
    replicas: int = 2,
    shards: int = 1,
    n_fetch: int = 1,
    n_push: int = 1,
    rule: Optimizer,
    schedule: Schedule | None = None,
    epochs: int = 1,
    shuffle: bool = True,
    warm_start: int = 0,
    max_staleness: int | None = None,
    own_lr: float = 0.0,
    ahead: bool = False,
    snapshot_every: int | None = None,
    store: str | Path | None = None,
    resume: bool = False,
    wait: float = 10.0,
    threads: int = 1,
    seed: int = 0,
    faults: Sequence[Any] = (),
    show: Show | None = None,
) -> Result:
    """Train with Downpour SGD on the open cluster.

    A replica fetches the weights every n_fetch mini-batches, adds up gradients and pushes the sum every
    n_push; shards apply it at once, w <- w - lr g / sqrt(sum of g^2) with AdaGrad. Nobody waits for
    anybody. Every planned push is applied exactly once, whatever dies (but the process that calls this).

    Args:
        model: recipe of the objective (sentei.distributed.Network for a sentei model).
        chunks: data, chunks[i] a list of mini-batches. On a cluster of several machines what is no
            list is copied to every worker once and asked there; else chunks travel with their lease.
        replicas, shards: how many workers of each kind.
        n_fetch, n_push: mini-batches between two fetches, two pushes.
        rule: AdaGrad(lr) or SGD(lr). schedule: of its lr, by the number of the update.
        epochs: times that every chunk is worked off. shuffle: in an order drawn from seed.
        warm_start: updates that one replica makes before the others begin.
        max_staleness: steps that a replica may be ahead of the slowest; None: any number, 0: synchronous.
        own_lr: step of a replica's own copy between fetches (n_fetch > 1).
        ahead: fetch the next weights while computing: faster, and one step staler.
        snapshot_every: updates of a shard between snapshots; None: by the size of the model.
        store: folder for snapshots that every machine sees; None: a temporary one, embedded only.
        resume: go on from the snapshots in store.
        wait: seconds after which an answer is given up; longer than a mini-batch takes.
        threads: of the kernels in a replica. faults: to inject (tests). show: called about 4 times a second.
    Returns:
        Result: weights, a row of history per chunk, counters.
    Raises:
        ValueError: an argument cannot be used. ClusterError: no cluster, or a worker died too often.
        NonFiniteError: a loss is not finite.
    Source:
        J. Dean et al., Large scale distributed deep networks, NIPS 2012, section 4.1 and appendix.
    """
    check_rule(rule)
    for name, value in (("replicas", replicas), ("n_fetch", n_fetch), ("n_push", n_push),
                        ("epochs", epochs), ("threads", threads)):  # fmt: skip
        if value < 1:
            raise ValueError(f"downpour: {name} must be at least 1, got {value}")
    if max_staleness is not None and (max_staleness < 0 or n_fetch != 1 or ahead):
        raise ValueError(
            "downpour: max_staleness must be at least 0 and go with n_fetch = 1 and without ahead, "
            f"got {max_staleness} with n_fetch = {n_fetch}"
        )
    if not len(chunks):
        raise ValueError("downpour: chunks must not be empty")
    engine = current()
    start = start_of(model)
    lengths = lengths_of(chunks)
    if not all(lengths):
        raise ValueError("downpour: every chunk must hold a mini-batch, got an empty one")
    settings = Downpour(n_fetch, n_push, own_lr, max_staleness, ahead, wait)
    about = [len(start), shards, lengths, epochs, shuffle, n_push, seed, described(rule)]
    run = run_name(about)
    counters = Counters()
    with stored(store, engine, resume) as folder:
        servers = Servers(
            engine, run, model, start, shards, rule, schedule, folder, snapshot_every, wait,
            counters, faults,
        )  # fmt: skip
        clock = engine.spawn("clock", Clock) if max_staleness is not None else None
        send = engine.embedded or isinstance(chunks, list | tuple)
        data = None if send else chunks
        names = [f"replica {i}" for i in range(replicas)]
        workers = [
            engine.spawn(
                name, Replica,
                name, model, data, servers.workers, servers.bounds, settings, clock,
                cpus=threads, threads=threads, concurrency=2, faults=faults,
            )
            for name in names
        ]  # fmt: skip
        order = [
            e * len(lengths) + int(c)
            for e in range(epochs)
            for c in drawn(len(lengths), seed, e, shuffle)
        ]
        leases = Leases([updates_of(n, n_push) for n in lengths] * epochs, order)
        made = Coordinator(engine, servers, workers, clock, leases, chunks, send, wait, warm_start)
        try:
            return made.all(resume, show)
        finally:
            for w in (*workers, *servers.workers, *([clock] if clock else [])):
                engine.kill(w, again=False)
