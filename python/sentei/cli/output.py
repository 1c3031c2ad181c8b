"""Results on the output stream: JSON for machines, tables for people."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from sentei.cli.guard import quoted, say
from sentei.report import summary_table, summary_text
from sentei.report.schema import clean
from sentei.workflow.parallel import follows
from sentei.workflow.runs import Plan, RunResult, start
from sentei.workflow.watch import Watch

__all__ = ["carry_out", "print_json", "show_report", "show_table"]


def print_json(data: Any) -> None:
    """One JSON document on the output stream; NaN becomes null."""
    print(json.dumps(clean(data), indent=2, ensure_ascii=False, allow_nan=False))


def show_report(report: Mapping[str, Any]) -> None:
    """Verdict and figures of a run."""
    if sys.stdout.isatty():
        from rich.console import Console

        Console().print(summary_table(report))
    else:
        print(summary_text(report), end="")


def show_table(head: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> None:
    """A plain table; the first `left` columns flush left."""
    widths = [max(len(r[i]) for r in (head, *rows)) for i in range(len(head))]
    for row in (head, *rows):
        cells = [
            c.ljust(w) if i < left else c.rjust(w)
            for i, (c, w) in enumerate(zip(row, widths, strict=True))
        ]
        print("  ".join(cells).rstrip())


def show_plan(plan: Plan) -> None:
    """What a run would do."""
    c = plan.model.costs()
    images = plan.images
    print(f"sentei {plan.command} would write {plan.run_dir}")
    print(
        f"data: {images.train.name}, {len(images.train):,} training, {len(images.val):,} validation, "
        f"{len(images.test):,} test images of {' x '.join(map(str, images.shape))}"
    )
    print(f"network: {c.params:,} parameters, {c.macs:,} MACs = {c.flops:,} FLOPs a sample")
    if plan.command != "prune":
        t = plan.config.train
        print(f"training: {t.epochs} epochs of batches of {t.batch}, {t.optimizer}, lr {t.lr:g}")
    if plan.preview is not None:
        p = plan.config.prune
        if p.method == "score":
            print(f"pruning: {p.criterion}, {p.retrain_steps} training steps after each round")
        else:
            a = p.auxiliary
            words = f"{a.epochs} epochs with gates, lambda {p.gate_settings[0]:g}, threshold {a.threshold:g}"
            print(f"pruning: {p.method}, {words} of {a.threshold_on}")
        print(plan.preview)
    print("nothing was written")


def watcher(quiet: bool) -> Watch:
    """What shows the progress of a run."""
    if quiet or follows():
        return Watch()
    from sentei.cli.progress import make_watch

    return make_watch()


def carry_out(plan: Plan, *, words: str, as_json: bool, dry_run: bool, quiet: bool) -> int:
    """Show a plan, or run it and show what it came to; returns the exit code."""
    if follows():  # rank 0 shows what all do
        if not dry_run:
            start(plan, Watch(), words)
        return 0
    if dry_run:
        if as_json:
            print_json(plan.to_json())
        else:
            show_plan(plan)
        return 0
    result = start(plan, watcher(quiet or as_json), words)
    return finish(result, as_json=as_json)


def finish(result: RunResult, *, as_json: bool) -> int:
    """Show a result; returns the exit code."""
    if follows():
        return 0
    if as_json:
        print_json({**result.report, "run_dir": str(result.run_dir)})
    else:
        show_report(result.report)
        print()
        for line in next_steps(result):
            print(line)
    for problem in result.problems:
        say(f"sentei: {problem}")
    return 0 if result.ok else 1


def next_steps(result: RunResult) -> list[str]:
    """Where the results lie and what to type next."""
    folder = result.run_dir
    model = quoted(str(folder / "model.safetensors"))
    lines = [f"report    {folder / 'report.html'}"]
    if result.pruned is None:
        lines += [f"model     {folder / 'model.safetensors'}"]
        lines += ["next      " + f"sentei prune {model} --flops 30%"]
        return lines
    pruned = quoted(str(folder / "pruned.safetensors"))
    lines += [f"networks  {folder / 'model.safetensors'} (before)"]
    lines += [f"          {folder / 'pruned.safetensors'} (after)"]
    lines += [f"next      sentei bench {model} {pruned}"]
    lines += [f"          sentei prune {model} --flops 20%"]
    return lines


def command_line() -> str:
    """The words of this process, for the report."""
    import shlex

    return "sentei " + shlex.join(sys.argv[1:])
