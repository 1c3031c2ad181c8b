"""The search: trials are drawn, handed out and told to Optuna, whose journal lies in the run folder."""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from sentei import device
from sentei.errors import DataError
from sentei.report.files import atomic_path
from sentei.train.interrupt import Interrupt
from sentei.workflow.config import Config
from sentei.workflow.run_dir import RunDir, RunDirError
from sentei.workflow.runs import plan
from sentei.workflow.search.cluster import check_address, run_on_cluster
from sentei.workflow.search.space import Choice, Parameter, read_space, values_of, with_values
from sentei.workflow.search.trial import Outcome, Task, choose_metric
from sentei.workflow.search.workers import run_trials
from sentei.workflow.session import InterruptedRunError
from sentei.workflow.settings import dump_toml, make_config, read_toml

__all__ = ["Search", "SearchResult", "Trial", "plan_search", "resume_search", "run_search"]

Method = Literal["random", "grid"]
JOURNAL = "study.journal"
_MOST = 10_000  # trials
Progress = Callable[[int, int, str], None]


def _optuna() -> Any:
    try:
        import optuna
    except ImportError:
        raise DataError(
            'search: Optuna is needed and not installed: pip install "sentei[search]"'
        ) from None
    logging.getLogger("optuna").setLevel(logging.WARNING)
    return optuna


@dataclass(frozen=True)
class Search:
    """A search that has been checked. space: as given, text or lists by dotted key."""

    config: Config
    space: dict[str, Parameter]
    given: dict[str, Any]
    method: Method
    trials: int
    metric: str
    run_dir: Path

    @property
    def maximise(self) -> bool:
        return "accuracy" in self.metric

    def assignments(self) -> list[dict[str, Any]]:
        """The values of every trial: of trial j a function of (seed, j) alone."""
        if self.method == "grid":
            return _grid(self.space)[: self.trials]
        return [_draw(self.space, self.config.run.seed, j) for j in range(self.trials)]

    def to_json(self) -> dict[str, Any]:
        """What the run folder keeps."""
        return {
            "space": self.given,
            "method": self.method,
            "trials": self.trials,
            "metric": self.metric,
        }


@dataclass(frozen=True)
class Trial:
    """One trial. state: done, failed or waiting."""

    number: int
    values: dict[str, Any]
    state: str
    score: float | None
    seconds: float
    error: str


@dataclass(frozen=True)
class SearchResult:
    """All trials in order; best: the one with the best score, None when all failed."""

    search: Search
    trials: tuple[Trial, ...]

    @property
    def run_dir(self) -> Path:
        return self.search.run_dir

    @property
    def best(self) -> Trial | None:
        done = [t for t in self.trials if t.score is not None]
        sign = -1.0 if self.search.maximise else 1.0
        return min(done, key=lambda t: (sign * (t.score or 0.0), t.number), default=None)

    def ranked(self) -> list[Trial]:
        """Best first, failures last."""
        sign = -1.0 if self.search.maximise else 1.0
        return sorted(
            self.trials,
            key=lambda t: (t.score is None, sign * (t.score or 0.0), t.number),
        )


def _distributions(space: Mapping[str, Parameter]) -> dict[str, Any]:
    d = _optuna().distributions
    found: dict[str, Any] = {}
    for key, p in space.items():
        if isinstance(p, Choice):
            found[key] = d.CategoricalDistribution(p.values)
        elif p.whole:
            found[key] = d.IntDistribution(int(p.low), int(p.high), log=p.log)
        else:
            found[key] = d.FloatDistribution(p.low, p.high, log=p.log)
    return found


def _draw(space: Mapping[str, Parameter], seed: int, number: int) -> dict[str, Any]:
    optuna = _optuna()
    words = np.random.SeedSequence([seed, number]).generate_state(1)
    sampler = optuna.samplers.RandomSampler(seed=int(words[0]))
    study = optuna.create_study(sampler=sampler)
    return dict(study.ask(_distributions(space)).params)


def _grid(space: Mapping[str, Parameter]) -> list[dict[str, Any]]:
    """All points of the grid; the last setting runs fastest."""
    points = {}
    for key, p in space.items():
        found = p.points()
        if found is None:
            raise DataError(
                f"search: {key} must have points for a grid: values with commas, or low..high/count"
            )
        points[key] = list(found)
    size = math.prod(len(v) for v in points.values())
    if size > _MOST:
        raise DataError(f"search: a grid must have at most {_MOST:,} points, got {size:,}")
    optuna = _optuna()
    study = optuna.create_study(sampler=optuna.samplers.GridSampler(points, seed=0))
    spread = {k: optuna.distributions.CategoricalDistribution(v) for k, v in points.items()}
    found_points = [dict(study.ask(spread).params) for _ in range(size)]
    # the sampler takes them in an order of its own
    return sorted(found_points, key=lambda v: [points[k].index(v[k]) for k in points])


def plan_search(
    config: Config,
    pairs: tuple[str, ...] = (),
    table: Mapping[str, Any] | None = None,
    *,
    method: Method = "random",
    trials: int | None = None,
    metric: str | None = None,
) -> Search:
    """Check everything that can be checked before any work; nothing is written.

    Args:
        config: settings of every trial. pairs, table: what is searched (space.read_space).
        trials: how many; None: 20, or the whole grid. metric: of an epoch; an accuracy is to be high,
        anything else low; None: val_accuracy, of a regression val_loss.
    Raises:
        ConfigError, DataError: a setting or a value is wrong, or Optuna is missing.
    """
    if method not in ("random", "grid"):
        raise DataError(f"search: method must be random or grid, got {method!r}")
    choose_metric(metric, regression=False)
    if config.train.epochs < 1:
        raise DataError(f"search: train.epochs must be at least 1, got {config.train.epochs}")
    if trials is not None and not 1 <= trials <= _MOST:
        raise DataError(f"search: trials must lie in [1, {_MOST}], got {trials}")
    space = read_space(pairs, table)
    base = _base(config)
    values_of(base, space)
    _optuna()
    made = plan(make_config(base), "train")  # data, network and folder are there
    metric = choose_metric(metric, made.images.train.is_regression)
    where = RunDir.place(config, "search", made.config.model.network)
    given = {k: _text(p) for k, p in space.items()}
    size = len(_grid(space)) if method == "grid" else 20
    count = size if trials is None else min(trials, size) if method == "grid" else trials
    return Search(config, space, given, method, count, metric, where)


def _text(p: Parameter) -> Any:
    if isinstance(p, Choice):
        return list(p.values)
    kind = {(True, True): "logint:", (False, True): "int:", (True, False): "log:"}
    low, high = p.ends()
    count = "" if p.count is None else f"/{p.count}"
    return f"{kind.get((p.log, p.whole), '')}{low!r}..{high!r}{count}"


def _base(config: Config) -> dict[str, Any]:
    """Settings of the trials: without a folder, and without time spent on latency."""
    data = config.model_dump(exclude_none=True)
    data["run"] = {**data["run"], "latency_seconds": 0.0}
    for key in ("run_dir", "threads"):
        data["run"].pop(key, None)
    return data


def run_search(
    search: Search,
    jobs: int = 1,
    progress: Progress | None = None,
    words: str = "",
    cluster: str | None = None,
) -> SearchResult:
    """Carry out a search in a new run folder.

    Args:
        jobs: trials at a time, each in a process with its share of the threads; no result depends on it.
        progress: called with trials done, trials in all and what is going on.
        cluster: "local" or "host:port": trials are tasks of Ray; None: processes of this machine.
    Raises:
        InterruptedRunError: Ctrl-C; `resume_search` goes on. ClusterError: Ray is missing.
    """
    _check_jobs(jobs, cluster)
    run = RunDir.create(search.run_dir, "search", search.config, words)
    run.write_plan({**run.read_plan(), "search": search.to_json()})
    with run.claimed():
        return _carry_out(search, run, jobs, progress, cluster)


def resume_search(
    run_dir: Path,
    jobs: int = 1,
    progress: Progress | None = None,
    trials: int | None = None,
    cluster: str | None = None,
) -> SearchResult:
    """Go on with a search, with more trials if asked for; the result is that of one never stopped.

    Raises:
        RunDirError: no search lies there.
    """
    _check_jobs(jobs, cluster)
    run = RunDir.reopen(run_dir)
    with run.claimed():
        what = run.read_plan()
        kept = what.get("search")
        if what["command"] != "search" or not isinstance(kept, dict):
            raise RunDirError(f"run folder: {run_dir} must hold a search, got {what['command']!r}")
        config = make_config(read_toml(run.config))
        space = read_space((), kept.get("space"))
        count = kept["trials"] if trials is None else max(trials, kept["trials"])
        search = Search(
            config, space, kept["space"], kept["method"], int(count), kept["metric"], run.path
        )
        if search.method == "grid":
            count = len(search.assignments())
            search = Search(**{**search.__dict__, "trials": count})
        run.write_plan({**what, "search": search.to_json(), "finished": False})
        return _carry_out(search, run, jobs, progress, cluster)


def _check_jobs(jobs: int, cluster: str | None) -> None:
    if not 1 <= jobs <= 256:
        raise DataError(f"search: jobs must lie in [1, 256], got {jobs}")
    if cluster is not None:
        check_address(cluster)


def _carry_out(
    search: Search, run: RunDir, jobs: int, progress: Progress | None, cluster: str | None
) -> SearchResult:
    from sentei.workflow.search.report import write_results

    values = search.assignments()
    study = _open(run, search)
    ours = _numbered(study)
    waiting = [j for j in range(len(values)) if not (j in ours and ours[j].state.is_finished())]
    total = search.config.run.threads or device.threads()
    share = max(1, total // jobs)
    base = _base(search.config)

    def tasks() -> Iterator[Task]:
        for j in waiting:
            folder = str(run.path / "trials" / f"{j:04d}")
            yield Task(j, base, values[j], folder, search.metric, share)

    def say(number: int, text: str) -> None:
        if progress is not None:
            progress(len(values) - len(waiting) + done, len(values), f"trial {number}: {text}")

    done = 0
    distributions = _distributions(search.space)
    interrupt = Interrupt()
    try:
        # a trial in this process heeds Ctrl-C by itself, and only where nobody else does
        with interrupt if jobs > 1 or cluster is not None else nullcontext():
            if cluster is not None:
                outcomes = run_on_cluster(tasks(), jobs, cluster, say, interrupt)
            else:
                outcomes = run_trials(tasks(), jobs, say, interrupt)
            for outcome in outcomes:
                if outcome.state == "interrupted":
                    interrupt.asked = True
                    continue
                _tell(study, distributions, values[outcome.number], outcome)
                done += 1
                run.event("trial", **outcome.__dict__, values=values[outcome.number])
                _keep_the_best(run, gather(search, study, values))
                say(outcome.number, _ended(outcome))
    except KeyboardInterrupt:
        interrupt.asked = True
    finally:
        device.set_threads(total)
    if interrupt.asked and done < len(waiting):
        run.event("interrupted")
        raise InterruptedRunError(run.path, run.path / JOURNAL)
    result = gather(search, study, values)
    if result.best is not None:
        config = with_values(search.config.model_dump(exclude_none=True), result.best.values)
        if config.run.run_dir is not None:
            config.run.run_dir = None
        with atomic_path(run.path / "best.toml") as beside:
            beside.write_text(dump_toml(config), encoding="utf-8")
    write_results(result)
    run.write_plan({**run.read_plan(), "finished": True})
    return result


def _ended(outcome: Outcome) -> str:
    return f"failed: {outcome.error}" if outcome.score is None else f"{outcome.score:.4g}"


def _open(run: RunDir, search: Search) -> Any:
    """The study in the run folder, made when missing."""
    optuna = _optuna()
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

    path = str(run.path / JOURNAL)
    # the folder is ours alone: what a killed process left of a lock or a line is in the way
    for lock in run.path.glob(f"{JOURNAL}.lock*"):
        lock.unlink(missing_ok=True)
    if Path(path).is_file():
        with open(path, "rb+") as file:
            data = file.read()
            file.truncate(data.rfind(b"\n") + 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        storage = JournalStorage(JournalFileBackend(path, lock_obj=JournalFileOpenLock(path)))
        return optuna.create_study(
            study_name="sentei",
            storage=storage,
            direction="maximize" if search.maximise else "minimize",
            load_if_exists=True,
        )


def _numbered(study: Any) -> dict[int, Any]:
    """Trials of a study by our numbers: Optuna counts in the order in which they ended."""
    return {t.user_attrs["number"]: t for t in study.get_trials(deepcopy=False)}


def _tell(study: Any, distributions: Any, values: dict[str, Any], outcome: Outcome) -> None:
    """Add a finished trial in one record, so that a killed process leaves none half told."""
    optuna = _optuna()
    complete = outcome.score is not None
    states = optuna.trial.TrialState
    # points of a grid on a range may lie beside its ends by a rounding
    kept = {k: d for k, d in distributions.items() if d._contains(d.to_internal_repr(values[k]))}
    study.add_trial(
        optuna.trial.create_trial(
            state=states.COMPLETE if complete else states.FAIL,
            value=outcome.score,
            params={k: values[k] for k in kept},
            distributions=kept,
            user_attrs={
                "number": outcome.number,
                "values": values,
                "seconds": outcome.seconds,
                "error": outcome.error,
            },
        )
    )


def gather(search: Search, study: Any, drawn: Sequence[dict[str, Any]]) -> SearchResult:
    """What is known so far."""
    known = _numbered(study)
    rows = []
    for j, values in enumerate(drawn):
        t = known.get(j)
        if t is None:
            rows.append(Trial(j, values, "waiting", None, 0.0, ""))
            continue
        notes = t.user_attrs
        state = "failed" if t.value is None else "done"
        rows.append(Trial(j, values, state, t.value, notes["seconds"], notes["error"]))
    return SearchResult(search, tuple(rows))


def _keep_the_best(run: RunDir, result: SearchResult) -> None:
    """Networks of trials that are not the best are removed; everything else of them stays."""
    best = result.best
    for t in result.trials:
        if t.state == "done" and best is not None and t.number != best.number:
            RunDir(run.path / "trials" / f"{t.number:04d}").model.unlink(missing_ok=True)
