"""Sandblaster L-BFGS: a coordinator that sees scalars only, sharded vectors, small portions of data."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sentei.distributed.directions import Directions
from sentei.distributed.engine import ClusterError, Engine, Future, LostError, Worker, current
from sentei.distributed.foreman import Foreman, StartedAgainError
from sentei.distributed.known import Known
from sentei.distributed.objective import Chunks, Recipe, cuts, start_of
from sentei.distributed.portions import PortionWorker
from sentei.distributed.result import Counters, Result, Show, Status
from sentei.distributed.servers import backoff, stored
from sentei.distributed.vectors import VectorShard
from sentei.errors import NonFiniteError
from sentei.optim import LBFGS
from sentei.optim.line_search import Point, strong_wolfe

__all__ = ["sandblaster"]

_TRIES = 25  # at one shard in a row, before it is given up
_LONG = ("accept", "back_to")


def sandblaster(
    model: Recipe,
    chunks: Chunks,
    *,
    workers: int = 2,
    shards: int = 1,
    rule: LBFGS | None = None,
    iterations: int = 50,
    backup_after: float | None = None,
    snapshot_every: int = 1,
    store: str | Path | None = None,
    resume: bool = False,
    wait: float = 10.0,
    threads: int = 1,
    faults: Sequence[Any] = (),
    show: Show | None = None,
) -> Result:
    """Minimise the mean loss of all data by L-BFGS on the open cluster.

    Every chunk is a portion of the gradient, handed to whichever worker is free: make many more of them
    than there are workers. When none is left, workers without work compute once more what others have
    not returned; the first answer counts. Directions come from inner products (two round trips to
    the shards an iteration), steps meet the strong Wolfe conditions. What dies is started again; an
    iteration that lost a shard is made again from the snapshots.

    Args:
        model: recipe of the objective. chunks: data, chunks[i] a list of mini-batches, weighted by
            their samples where the objective can tell them.
        workers, shards: how many of each kind.
        rule: memory, c1, c2, evaluations, tolerance, lr (first step tried); LBFGS() when None.
        iterations: at most; fewer when the gradient vanishes or no step lowers the loss.
        backup_after: seconds before a portion is given to a second worker; None: as soon as one is idle.
        snapshot_every: iterations between two snapshots of the shards, each 2 memory + 2 times the
            room of the weights.
        store, resume, wait, threads, faults, show: see downpour.
    Returns:
        Result: weights; a row of history per iteration (iteration, loss, gradient, step, evaluations,
        seconds); counters: updates are iterations, backups are portions
            given to a second worker.
    Raises:
        ValueError: an argument cannot be used. ClusterError: no cluster, or a worker died too often.
        NonFiniteError: the loss at the start is not finite.
    Source:
        J. Dean et al., Large scale distributed deep networks, NIPS 2012, section 4.2; D. Liu,
        J. Nocedal, Math. Programming 45 (1989).
    """
    rule = rule or LBFGS()
    if rule.weight_decay or rule.l2:
        raise ValueError(
            "sandblaster: weight_decay and l2 must be given to the model, not to the rule"
        )
    for name, value in (
        ("workers", workers),
        ("iterations", iterations),
        ("snapshot_every", snapshot_every),
    ):
        if value < 1:
            raise ValueError(f"sandblaster: {name} must be at least 1, got {value}")
    if not len(chunks) or not all(len(chunks[i]) for i in range(len(chunks))):
        raise ValueError("sandblaster: chunks must hold mini-batches, got an empty one")
    engine = current()
    start = start_of(model)
    about = [len(start), shards, [len(chunks[i]) for i in range(len(chunks))], asdict(rule)]
    run = hashlib.blake2b(json.dumps(about).encode(), digest_size=8).hexdigest()
    with stored(store, engine, resume) as folder:
        bounds = cuts(len(start), shards, getattr(model, "blocks", ()))
        servers = [
            engine.spawn(
                f"shard {i}", VectorShard,
                run, i, start[a:b], rule.memory, str(folder), snapshot_every, faults=faults,
            )
            for i, (a, b) in enumerate(pairwise(bounds))
        ]  # fmt: skip
        send = engine.embedded or isinstance(chunks, list | tuple)
        data = None if send else chunks
        hands = [
            engine.spawn(
                f"replica {i}", PortionWorker,
                model, data, servers, bounds, wait,
                cpus=threads, threads=threads, concurrency=2, faults=faults,
            )
            for i in range(workers)
        ]  # fmt: skip
        foreman = Foreman(engine, hands, chunks, send, wait, backup_after)
        try:
            known = Known(folder, run, resume)
            settings = _Settings(rule, iterations, snapshot_every, wait, known)
            return _Run(engine, servers, foreman, settings, show).all(resume)
        finally:
            for w in (*hands, *servers):
                engine.kill(w, again=False)


class _Settings(NamedTuple):
    rule: LBFGS
    iterations: int
    every: int  # iterations between two snapshots
    wait: float
    known: Known


class _Run:
    """The coordinator of one minimisation."""

    def __init__(
        self,
        engine: Engine,
        shards: Sequence[Worker],
        foreman: Foreman,
        settings: _Settings,
        show: Show | None,
    ) -> None:
        self.engine, self.shards, self.foreman = engine, list(shards), foreman
        self.rule, self.iterations, self.every, self.wait, self.known = settings
        self.counters = Counters(planned=self.iterations)
        self.born: list[str | None] = [None] * len(self.shards)
        self.highest, self.backs = -1, 0  # iteration reached; ways back since
        self.evaluation = 0
        self.evaluations = 0  # of this iteration
        self.iteration, self.loss = -1, math.inf
        self.directions = Directions(self.rule.memory)
        self.history: list[dict[str, Any]] = []
        self.size = 0.0  # |w|
        self.notes: list[str] = []
        self.show = show
        self.checks: list[tuple[Future, float] | None] = [None] * len(self.shards)
        foreman.watch = self._watch

    def all(self, resume: bool) -> Result:
        begun = self.engine.now()
        if resume:
            self._go_back()
        while True:
            try:
                if self.iteration < 0:
                    self._begin()
                if self.iteration < self.iterations and self._step():
                    continue
                weights = [np.asarray(self._ask(i, "weights")) for i in range(len(self.shards))]
                counted = [self._ask(i, "status") for i in range(len(self.shards))]
                break
            except LostError as e:  # a shard: whoever else is lost is the foreman's affair
                self.backs += 1
                if self.backs > _TRIES:
                    raise ClusterError(
                        f"sandblaster: the shards must stay up, but iteration {self.highest + 1} was "
                        f"made {_TRIES} times: {e}"
                    ) from None
                self._go_back()
        c = self.counters
        c.updates = [max(self.iteration, 0)] * len(self.shards)
        c.repeats = sum(x["repeats"] for x in counted)
        c.snapshots = sum(x["snapshots"] for x in counted)
        c.bytes = sum(x["bytes"] for x in counted)
        c.backups, c.restarts = self.foreman.backups, self.foreman.restarts
        c.leases_lost = self.foreman.lost
        self._look()
        return Result(np.concatenate(weights), self.history, c, self.engine.now() - begun)

    # -- L-BFGS --------------------------------------------------------------------------------
    def _begin(self) -> None:
        """Loss and gradient where the weights start."""
        began = self.engine.now()
        point = self._evaluate(0.0)
        if not math.isfinite(point.value):
            raise NonFiniteError(
                f"sandblaster: the loss must be finite to start, got {point.value}"
            )
        rows = self._accept(0, -1)
        if not math.isfinite(rows[2, -1]):
            raise NonFiniteError("sandblaster: the gradient must be finite to start, but is not")
        self.directions.learn(rows[2, -1])
        self._reached(0, point, self.engine.now() - began)

    def _step(self) -> bool:
        """One iteration; False: there is no lower place to be found."""
        began, self.evaluations = self.engine.now(), 0
        norm = self.directions.gradient_norm
        if norm <= self.rule.tolerance * max(1.0, self.size):
            return False
        found = self._search(norm)
        if found is None and self.directions.count:  # the pairs are of another place
            self.directions.count = 0
            found = self._search(norm)
        if found is None:
            return False
        rows = self._accept(self.iteration + 1, self.directions.at)
        self.directions.put(rows)
        self._reached(self.iteration + 1, found, self.engine.now() - began)
        return True

    def _search(self, norm: float) -> Point | None:
        factors = self.directions.factors()
        slope = self.directions.slope(factors)
        if not slope < 0:
            return None
        for i in range(len(self.shards)):
            if not self._ask(i, "direct", self.iteration, factors):
                raise StartedAgainError("sandblaster: a shard stands elsewhere")
        last = [0.0]

        def evaluate(t: float) -> Point:
            last[0] = t
            return self._evaluate(t)

        rule = self.rule
        first = rule.lr * (1.0 if self.directions.count else min(1.0, 1.0 / norm))
        found = strong_wolfe(
            evaluate,
            Point(0.0, self.loss, slope),
            first,
            c1=rule.c1,
            c2=rule.c2,
            evaluations=rule.evaluations,
        )
        if found is not None and found.t != last[0]:  # the shards hold the last one
            found = evaluate(found.t)
        return found

    def _evaluate(self, t: float) -> Point:
        """Mean loss and slope at w + t d."""
        self.evaluation += 1
        self.evaluations += 1
        for i in range(len(self.shards)):
            self._ask(i, "trial", self.evaluation, t)
        done = self.foreman.gather(self.evaluation)
        if done is None:
            return Point(t, math.inf, math.nan)
        loss = math.fsum(x for x, _ in done)
        weight = math.fsum(n for _, n in done)
        slope = 0.0
        for i in range(len(self.shards)):
            found = self._ask(i, "close", self.evaluation, weight, len(done))
            if found is None:
                raise StartedAgainError("sandblaster: a shard has lost portions")
            slope += found[0]
        return Point(t, loss / weight, slope)

    def _accept(self, iteration: int, slot: int) -> NDArray[np.float64]:
        rows, squared = np.zeros((3, 2 * self.rule.memory + 1)), 0.0
        for i in range(len(self.shards)):
            found = self._ask(i, "accept", iteration, slot)
            if found is None:
                raise StartedAgainError("sandblaster: a shard stands elsewhere")
            rows += found[0]
            squared += found[1]
        self.size = math.sqrt(squared)
        return rows

    def _reached(self, iteration: int, point: Point, seconds: float) -> None:
        self.iteration, self.loss = iteration, point.value
        row = {
            "iteration": iteration,
            "loss": point.value,
            "gradient": self.directions.gradient_norm,
            "step": point.t,
            "evaluations": max(self.evaluations, 1),
            "seconds": round(seconds, 4),
        }
        self.history.append(row)
        if iteration % self.every == 0:  # when the shards made theirs
            state = {
                "iteration": iteration,
                "loss": self.loss.hex(),
                "size": self.size.hex(),
                "directions": self.directions.to_json(),
                "history": list(self.history),
            }
            self.known.put(state)
        if iteration > self.highest:
            self.highest, self.backs = iteration, 0
        self._look()

    # -- shards --------------------------------------------------------------------------------
    def _ask(self, i: int, method: str, *args: Any) -> Any:
        """Call a shard; StartedAgainError when it is another process than before, or none."""
        future = self.engine.call(self.shards[i], method, *args)
        patience = backoff(self.wait, 0) if self.born[i] is None else self.wait
        if method in _LONG:  # passes over all vectors, and a file
            patience *= 6
        ready, _ = self.engine.wait([future], 1, patience)
        if not ready:
            self.engine.kill(self.shards[i])
        try:
            if not ready:
                raise LostError("sandblaster: a shard does not answer")
            born, found = self.engine.take(future)
        except LostError:
            if self.born[i] is None and ready:  # it died while it started
                born, found = self._again(i, method, *args)
            else:
                raise StartedAgainError(f"sandblaster: shard {i} was lost") from None
        if self.born[i] not in (None, born):
            raise StartedAgainError(f"sandblaster: shard {i} was started again")
        self.born[i] = born
        return found

    def _again(self, i: int, method: str, *args: Any) -> Any:
        """Call a shard until it answers, whoever it is now."""
        silent = int(self.born[i] is not None)
        for _ in range(_TRIES):
            future = self.engine.call(self.shards[i], method, *args)
            ready, _ = self.engine.wait([future], 1, backoff(self.wait, silent))
            try:
                if ready:
                    return self.engine.take(future)
            except LostError:
                self.engine.pause(0.1)
            else:
                self.engine.kill(self.shards[i])
                silent += 1
        raise ClusterError(f"sandblaster: shard {i} must answer, but was lost {_TRIES} times")

    def _watch(self) -> None:
        """While portions are computed nobody else asks the shards whether they live."""
        now = self.engine.now()
        for i, check in enumerate(self.checks):
            if check is None:
                self.checks[i] = (self.engine.call(self.shards[i], "status"), now)
                continue
            future, sent = check
            ready, _ = self.engine.wait([future], 1, 0)
            if not ready and now - sent <= self.wait:
                continue
            self.checks[i] = None
            if not ready:
                self.engine.kill(self.shards[i])
                raise StartedAgainError(f"sandblaster: shard {i} does not answer")
            born, _ = self.engine.take(future)
            if born != self.born[i]:
                raise StartedAgainError(f"sandblaster: shard {i} was started again")
        self._look()

    def _go_back(self) -> None:
        """Take all shards to the newest iteration that every one of them and we know."""
        self.checks = [None] * len(self.shards)
        for _ in range(_TRIES):
            common: set[int] | None = None
            for i in range(len(self.shards)):
                born, kept = self._again(i, "snapshots")
                if self.born[i] not in (None, born):
                    self.counters.shard_restarts += 1
                    self.notes.append(f"shard {i} was started again")
                self.born[i] = born
                common = set(kept) if common is None else common & set(kept)
            assert common is not None
            try:
                self._stand_at(self.known.newest(common))
            except StartedAgainError:
                continue
            return
        raise ClusterError(f"sandblaster: the shards must stay up, but one was lost {_TRIES} times")

    def _stand_at(self, iteration: int | None) -> None:
        """Continue from a known iteration; None: from the start."""
        back = max(self.iteration, 0) - max(iteration or 0, 0)
        for i in range(len(self.shards)):
            self._ask(i, "back_to", iteration or 0)
        self.counters.rolled_back += max(back, 0)
        if iteration is None:
            self.iteration, self.directions = -1, Directions(self.rule.memory)
            self.history = []
            return
        state = self.known.states[iteration]
        self.iteration, self.loss = iteration, float.fromhex(state["loss"])
        self.size = float.fromhex(state["size"])
        self.directions = Directions.from_json(state["directions"])
        self.history = list(state["history"])

    # -- for those who look on -------------------------------------------------------------------
    def _look(self) -> None:
        if self.show is None:
            return
        states = dict(self.foreman.states())
        for i in range(len(self.shards)):
            states[f"shard {i}"] = "up"
        notes, self.notes = (*self.notes, *self.foreman.told()), []
        loss = self.loss if math.isfinite(self.loss) else None
        self.show(Status(max(self.iteration, 0), self.iterations, loss, states, notes))
