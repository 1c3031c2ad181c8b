"""The comparison: trials one after another, each a line in the run folder, stopped and gone on with."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from sentei import device, io
from sentei.errors import DataError, SenteiError
from sentei.train.interrupt import Interrupt
from sentei.workflow.compare.plan import WHOLE, Comparison, Trial, plan_compare
from sentei.workflow.compare.trial import Outcome, Workshop
from sentei.workflow.run_dir import RunDir, RunDirError
from sentei.workflow.session import InterruptedRunError
from sentei.workflow.settings import make_config, read_toml

__all__ = ["Cell", "CompareResult", "resume_compare", "run_compare"]

Progress = Callable[[int, int, str], None]
_FIELDS = {f.name for f in fields(Outcome)}


@dataclass(frozen=True)
class Cell:
    """The finished trials of one arm at one target. std: the sample one, None for a single trial."""

    arm: str
    target: str
    n: int
    failed: int
    mean: float | None
    std: float | None
    flops: float | None
    params: float | None
    trust: float | None
    seconds: float


@dataclass(frozen=True)
class CompareResult:
    """All that is known: outcomes in the order of the trials."""

    comparison: Comparison
    outcomes: tuple[Outcome, ...]

    @property
    def run_dir(self) -> Path:
        return self.comparison.run_dir

    @property
    def ok(self) -> bool:
        return any(o.state == "done" for o in self.outcomes)

    def cell(self, arm: str, target: str) -> Cell:
        """Mean and deviation of an arm at a target."""
        mine = [o for o in self.outcomes if o.trial.arm == arm and o.target == target]
        done = [o for o in mine if o.score is not None]
        whole = self.comparison.original
        scores = [o.score for o in done if o.score is not None]
        return Cell(
            arm,
            target,
            len(done),
            len(mine) - len(done),
            statistics.fmean(scores) if scores else None,
            statistics.stdev(scores) if len(scores) > 1 else None,
            _mean(o.flops / whole.flops for o in done),
            _mean(o.params / whole.params for o in done),
            _mean(o.trust for o in done if o.trust is not None),
            sum(o.seconds for o in mine),
        )

    def arms(self) -> list[str]:
        """Rows of the table: criteria, then the baselines."""
        trials = self.comparison.trials()
        order = {"pruned": 0, "uniform": 1, "scratch": 2}
        found = sorted((t for t in trials if t.kind in order), key=lambda t: order[t.kind])
        return list(dict.fromkeys(t.arm for t in found))

    def cells(self) -> list[Cell]:
        """Every arm at every target, the unpruned network first."""
        c = self.comparison
        found = [self.cell("unpruned", WHOLE)] if "unpruned" in c.baselines else []
        return found + [self.cell(a, t) for a in self.arms() for t in c.targets]


def _mean(values: Iterable[float]) -> float | None:
    kept = list(values)
    return statistics.fmean(kept) if kept else None


def run_compare(
    comparison: Comparison, progress: Progress | None = None, words: str = ""
) -> CompareResult:
    """Carry a comparison out in its run folder.

    Raises:
        InterruptedRunError: Ctrl-C; finished trials are kept, the one at work is made again.
    """
    run = RunDir.create(comparison.run_dir, "compare", comparison.config, words)
    with run.claimed():
        if comparison.from_file:  # the folder is complete, whatever becomes of the file
            io.save(comparison.model, run.model)
        what = run.read_plan()
        run.write_plan({**what, "compare": comparison.to_json(), "finished": False})
        return _carry_out(comparison, run, progress)


def resume_compare(
    folder: str | Path, progress: Progress | None = None, seeds: int | None = None
) -> CompareResult:
    """Go on with a comparison that was stopped, or add seeds to it.

    Raises:
        RunDirError: no comparison lies there. DataError: fewer seeds than it has.
    """
    run = RunDir.reopen(folder)
    with run.claimed():
        run.mend()
        what = run.read_plan()
        kept = what.get("compare")
        if what["command"] != "compare" or not isinstance(kept, Mapping):
            raise RunDirError(
                f"run folder: {run.plan} must be of a comparison, got {what['command']!r}"
            )
        config = make_config(read_toml(run.config))
        if config.run.threads is not None:
            device.set_threads(config.run.threads)
        count = len(kept["seeds"]) if seeds is None else seeds
        if count < len(kept["seeds"]):
            raise DataError(f"compare: seeds must be at least {len(kept['seeds'])}, got {count}")
        # elsewhere than in the folder, which is not empty; it is put back below
        config.run.run_dir = None
        if config.model.file is not None:
            config.model.file = str(run.model)
        made = plan_compare(
            config, kept["criteria"], kept["targets"], count, kept["baselines"],
            first=kept["steps_before"],
        )  # fmt: skip
        made = replace(made, run_dir=run.path)
        run.write_plan({**what, "compare": made.to_json(), "finished": False})
        return _carry_out(made, run, progress)


def _known(run: RunDir) -> dict[tuple[str, str, int], Outcome]:
    found = {}
    for event in run.read():
        if event.get("event") == "trial":
            outcome = Outcome(**{k: v for k, v in event.items() if k in _FIELDS})
            found[outcome.trial.key] = outcome
    return found


def _carry_out(made: Comparison, run: RunDir, progress: Progress | None) -> CompareResult:
    from sentei.workflow.compare.report import write_results

    trials = made.trials()
    known = _known(run)
    networks = run.path / "networks"
    networks.mkdir(exist_ok=True)
    shop = Workshop(made, networks)
    interrupt = Interrupt()
    try:
        with interrupt:
            for j, trial in enumerate(trials):
                if trial.key in known:
                    continue

                def tell(text: str, j: int = j, t: Trial = trial) -> None:
                    if interrupt.asked:
                        raise KeyboardInterrupt
                    if progress is not None:
                        where = "" if t.target == WHOLE else f" {t.target}"
                        progress(j, len(trials), f"{t.arm}{where}, seed {t.seed}: {text}")

                tell("begins")
                outcome = _attempt(shop, trial, tell)
                run.event("trial", **asdict(outcome))
                known[trial.key] = outcome
                tell(outcome.error or f"{outcome.score:.4f}")
    except KeyboardInterrupt:
        run.event("interrupted")
        raise InterruptedRunError(run.path, run.events) from None
    result = CompareResult(made, tuple(known[t.key] for t in trials))
    write_results(result)
    run.write_plan({**run.read_plan(), "finished": True})
    return result


def _attempt(shop: Workshop, trial: Trial, tell: Callable[[str], None]) -> Outcome:
    """A trial whose numbers blow up is an outcome, no error."""
    try:
        return shop.run(trial, tell)
    except (SenteiError, ArithmeticError) as e:
        return Outcome(**trial.__dict__, state="failed", error=" ".join(str(e).split()))
