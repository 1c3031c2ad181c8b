"""sentei compare."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sentei.cli import options as o

if TYPE_CHECKING:
    from sentei.workflow.compare import CompareResult, Comparison


def compare(
    ctx: typer.Context,
    model: Annotated[
        str | None,
        typer.Argument(
            help="A .safetensors file of `sentei train`, or a network by name, trained for each seed.",
            show_default="lenet5_prune",
        ),
    ] = None,
    criteria: Annotated[
        str,
        typer.Option(
            help="Scores, with commas: l1_std, norm, first, first_second, fisher, "
            "oracle, robust, trace."
        ),
    ] = "robust,oracle,fisher,l1_std",
    flops: Annotated[
        str, typer.Option(help="Targets, with commas: FLOPs that REMAIN.")
    ] = "50%,30%",
    seeds: Annotated[
        int | None, typer.Option(help="How many seeds, from --seed on.", show_default="3")
    ] = None,
    baselines: Annotated[
        str,
        typer.Option(help="scratch, uniform, unpruned, with commas; none: only criteria."),
    ] = "scratch,uniform,unpruned",
    per_round: Annotated[
        int | None, typer.Option(help="Channels removed before scoring again.", show_default="1")
    ] = None,
    retrain_steps: Annotated[
        int | None, typer.Option(help="Training steps after each round.", show_default="10")
    ] = None,
    finetune_epochs: Annotated[
        int | None, typer.Option(help="Epochs of training at the end, at least.", show_default="1")
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(help="Epochs before pruning.", show_default="5; of a file, its own"),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(help="Go on in this folder; with --seeds, add some.", show_default=False),
    ] = None,
    data: o.DataName = None,
    data_dir: o.DataDir = None,
    config: o.ConfigFile = None,
    pairs: o.Pairs = None,
    run_dir: o.RunFolder = None,
    seed: o.Seed = None,
    threads: o.Threads = None,
    device: o.Device = None,
    as_json: o.Json = False,
    dry_run: o.DryRun = False,
    quiet: o.Quiet = False,
) -> int:
    """Compare criteria at the same targets and the same training budget, over seeds.

    Every network gets the same number of training steps: those before pruning, those between the
    removals, and what is left of them at the end. Test images are looked at
    right after pruning, which is only reported, and after the last step; they decide nothing.

    Baselines, trained as long: scratch, the architecture that pruning found with fresh weights;
    uniform, every layer the same share of its channels; unpruned. Where pruning does not beat them it
    found no weights worth keeping, or no better architecture.

    Ctrl-C stops; `--resume FOLDER` goes on at the trial that was interrupted.

    Example: `sentei compare lenet5_prune --criteria robust,norm,l1_std --flops 50%,30% --seeds 3`
    or, of a trained file, `sentei compare runs/first/model.safetensors --per-round 4`
    """
    from sentei.cli.output import command_line, print_json
    from sentei.cli.ticker import Ticker
    from sentei.workflow.compare import plan_compare, run_compare
    from sentei.workflow.runs import prune_config

    if resume is not None:
        o.check_alone(ctx, "compare", ("--seeds", "--json", "--quiet"))
        return go_on(resume, seeds, as_json=as_json, quiet=quiet)
    is_file = model is not None and (model.endswith(".safetensors") or Path(model).exists())
    flags = {
        "model.file" if is_file else "model.network": model,
        "prune.per_round": per_round,
        "prune.retrain_steps": retrain_steps,
        "prune.finetune_epochs": finetune_epochs,
        "train.epochs": epochs,
        "data.name": data,
        "data.data_dir": data_dir,
        **o.run_flags(run_dir, seed, threads, device),
    }
    chosen = [] if baselines.strip() == "none" else _words(baselines)
    made = plan_compare(
        prune_config(config, pairs or (), flags),
        _words(criteria),
        _words(flops),
        3 if seeds is None else seeds,
        chosen,
    )
    if dry_run:
        if as_json:
            print_json({**made.to_json(), "run_dir": str(made.run_dir)})
        else:
            _show_plan(made)
        return 0
    with Ticker("compare", quiet or as_json) as ticker:
        result = run_compare(made, ticker, command_line())
    return _end(result, as_json)


def go_on(run_dir: Path, seeds: int | None = None, *, as_json: bool, quiet: bool) -> int:
    """Go on with a comparison that was stopped, with more seeds if asked for."""
    from sentei.cli.ticker import Ticker
    from sentei.workflow.compare import resume_compare

    with Ticker("compare", quiet or as_json) as ticker:
        result = resume_compare(run_dir, ticker, seeds)
    return _end(result, as_json)


def _end(result: CompareResult, as_json: bool) -> int:
    from sentei.cli.output import print_json
    from sentei.workflow.compare import to_json

    if as_json:
        print_json({**to_json(result), "run_dir": str(result.run_dir)})
    else:
        show_result(result)
    return 0 if result.ok else 1


def _words(text: str) -> list[str]:
    return [w.strip() for w in text.split(",") if w.strip()]


def _show_plan(made: Comparison) -> None:
    c = made.original
    print(f"sentei compare would write {made.run_dir}")
    what = "the given file" if made.from_file else "one trained for each seed"
    print(f"network: {c.params:,} parameters, {c.flops:,} FLOPs a sample; {what}")
    print(f"criteria: {', '.join(made.criteria)}")
    for text in made.targets:
        print(f"target: {made.target(text).describe(c)}")
    print(f"seeds: {', '.join(map(str, made.seeds))}")
    print(f"baselines: {', '.join(made.baselines) or 'none'}")
    print(
        f"every network: {made.first:,} + {made.after:,} training steps, "
        f"at most {made.rounds:,} rounds of {made.config.prune.retrain_steps} among the latter"
    )
    trials = made.trials()
    bases = 0 if made.from_file else len(made.seeds)
    scratch = sum(t.kind in ("scratch", "uniform") for t in trials)
    steps = (bases + scratch) * made.first + len(trials) * made.after
    print(f"{len(trials)} trials, {steps:,} training steps in all")
    print("nothing was written")


def show_result(result: CompareResult) -> None:
    """The table, and where things lie."""
    from sentei.cli.guard import say
    from sentei.cli.output import show_table
    from sentei.workflow.compare import rows_of
    from sentei.workflow.compare.report import budget, unpruned

    head, rows = rows_of(result)
    show_table(head, rows)
    if said := unpruned(result):
        print(said)
    print(budget(result))
    if "trust" in head:
        print("trust: rank correlation of the scores of two halves of the images")
    print()
    print(f"report    {result.run_dir / 'report.html'}")
    print(f"table     {result.run_dir / 'results.csv'}")
    print(f"networks  {result.run_dir / 'networks'}")
    if failed := [x for x in result.outcomes if x.state == "failed"]:
        say(
            f"sentei: {len(failed)} of {len(result.outcomes)} trials failed, the first: {failed[0].error}"
        )
