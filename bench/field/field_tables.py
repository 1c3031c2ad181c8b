"""Tables and the plot of docs/field.md from records of bench_field.py and latency_field.py."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from plots import Spread, spreads

Record = dict[str, Any]
Row = Sequence[str]
TOOLS = {"torch_pruning": "Torch-Pruning", "sentei": "sentei"}
WORDS = {
    "once": "cut once, then retrained",
    "rounds": "cut and retrained in turns",
}


def current(lines: Iterable[Record], scale: str) -> list[Record]:
    """Per network the records of its newest settings, the last of each case."""
    newest: dict[str, Any] = {}
    rows = [r for r in lines if r["scale"] == scale]
    for r in rows:
        newest[r["network"]] = r["settings"]
    found: dict[str, Record] = {}
    for r in rows:
        if r["settings"] == newest[r["network"]]:
            parts = ("network", "seed", "tool", "criterion", "schedule", "target")
            found[json.dumps([r.get(k) for k in parts])] = r
    networks = list(newest)
    arms = [("torch_pruning", "l1"), ("sentei", "l1_std"), ("torch_pruning", "taylor")]

    def place(r: Record) -> tuple[Any, ...]:
        arm = (r.get("tool"), r.get("criterion"))
        at = arms.index(arm) if arm in arms else len(arms)
        return networks.index(r["network"]), -(r.get("target") or 2), r.get("schedule") or "", at

    return sorted(found.values(), key=place)


def grouped(rows: Iterable[Record], *keys: str) -> dict[tuple[Any, ...], list[Record]]:
    found: dict[tuple[Any, ...], list[Record]] = {}
    for r in rows:
        found.setdefault(tuple(r.get(k) for k in keys), []).append(r)
    return found


def spread(values: Sequence[float], show: Callable[[float], str]) -> str:
    """Mean and deviation."""
    if len(values) < 2:
        return show(values[0])
    return f"{show(statistics.mean(values))} ± {show(statistics.stdev(values))}"


def points(share: float) -> str:
    """A share in percent, without its sign."""
    return f"{100 * share:.2f}"


def table(head: Row, rows: Iterable[Row], left: int) -> list[str]:
    line = "| " + " | ".join(["---"] * left + ["---:"] * (len(head) - left)) + " |"
    return ["| " + " | ".join(head) + " |", line, *("| " + " | ".join(r) + " |" for r in rows), ""]


def arm_name(r: Mapping[str, Any]) -> str:
    return f"{TOOLS[r['tool']]} `{r['criterion']}`"


def settings_table(rows: Sequence[Record]) -> list[str]:
    """What was run."""
    head = [
        "network",
        "starting networks",
        "seeds",
        "images",
        "epochs",
        "steps of retraining",
        "score images",
    ]
    head += ["channels between scorings", "test images"]
    cells = []
    for (network,), some in grouped(rows, "network").items():
        s, seeds = some[0]["settings"], {r["seed"] for r in some}
        starts = sum(r["what"] == "start" for r in some)
        numbers = (starts, len(seeds), s["images"], s["epochs"], s["steps"], s["score_images"])
        numbers += (s["channels"], s["test_images"])
        cells.append([f"`{network}`", *(f"{n:,}" for n in numbers)])
    return table(head, cells, 1)


def accuracy_table(rows: Sequence[Record]) -> list[str]:
    """Every arm of a network: mean and deviation over seeds."""
    starts = {(r["network"], r["seed"]): r for r in rows if r["what"] == "start"}

    def begin(r: Record) -> Record:
        return starts[r["network"], r.get("start_seed", r["seed"])]

    lines: list[str] = []
    for (network,), some in grouped(rows, "network").items():
        mine = [r for r in starts.values() if r["network"] == network]
        before = spread([r["accuracy"] for r in mine], points)
        lines += [f"### `{network}`", "", said_of_start(mine, before), ""]
        head = [
            "target",
            "schedule",
            "tool and criterion",
            "seeds",
            "FLOPs left, %",
            "parameters left, %",
        ]
        head += [
            "right after the cut, %",
            "retrained, %",
            "change, points",
            "peak memory (added by the work), MiB",
        ]
        cells = []
        arms = [r for r in some if r["what"] != "start"]
        for key, runs in grouped(arms, "target", "schedule", "tool", "criterion").items():
            good = [r for r in runs if r["what"] == "arm"]
            row = [f"{key[0]:.0%}", WORDS[key[1]], arm_name(runs[0])]
            row.append(str(len(good)))
            if good:
                change = [r["accuracy"] - begin(r)["accuracy"] for r in good]
                row += [spread([r[k] for r in good], points) for k in ("share", "params_share")]
                row += [spread([r[k] for r in good], points) for k in ("cut_accuracy", "accuracy")]
                row += [spread(change, points)]
                row.append(memory(good))
            else:
                row += ["-"] * 6
            if len(good) < len(runs):
                bad = next(r for r in runs if r["what"] == "failed")
                row[2] += f" (failed {len(runs) - len(good)} of {len(runs)}: {bad['failed']})"
            cells.append(row)
        lines += table(head, cells, 3)
    return lines


def memory(runs: Sequence[Record]) -> str:
    """Median peak of a process, and of what it rose by since libraries and images were loaded."""
    both = (statistics.median(r[k] for r in runs) for k in ("peak_bytes", "peak_above_start"))
    return "{:.0f} ({:.0f})".format(*(v / 2**20 for v in both))


def said_of_start(starts: Sequence[Record], before: str) -> str:
    """One sentence on the networks that all arms begin from."""
    some = starts[0]
    apart = max(abs(r["accuracy"] - r["own_accuracy"]) for r in starts)
    return (
        f"Unpruned: {before} % ({'one network' if len(starts) == 1 else f'{len(starts)} networks'}), "
        f"{some['macs'] / 1e6:.1f} million multiply-adds = "
        f"{some['macs'] / 5e5:.1f} MFLOPs, {some['params'] / 1e3:.0f} thousand parameters. The same weights "
        f"in PyTorch: accuracy at most {100 * apart:.2f} points apart, logits at most "
        f"{max(r['relative_difference'] for r in starts):.0e} of the largest."
    )


def behaviour_table(rows: Sequence[Record]) -> list[str]:
    """FLOPs asked for and reached, and what did not go as asked."""
    head = ["network", "target", "tool and criterion", "reached: mean, least, %"]
    head += ["cut too much, points", "narrowest layer", "steps", "largest step (asked)"]
    head += ["channels short of the request", "steps without effect"]
    cells = []
    arms = [r for r in rows if r["what"] == "arm"]
    for key, runs in grouped(arms, "network", "target", "tool", "criterion").items():
        share = [r["share"] for r in runs]
        row = [f"`{key[0]}`", f"{key[1]:.0%}", arm_name(runs[0])]
        row += [f"{points(statistics.mean(share))}, {points(min(share))}"]
        row += [points(key[1] - statistics.mean(share))]
        row += [str(min(r["narrowest"] for r in runs))]
        notes = [r["notes"] for r in runs]
        if "tool_steps" in notes[0]:
            row += [f"{statistics.mean(n['tool_steps'] for n in notes):.0f}"]
            most = max(n["most_channels_in_a_step"] for n in notes)
            row += [f"{most} ({notes[0]['channels_per_step_asked']:.1f})"]
            row += [str(max(n["channels_short_of_request"] for n in notes))]
            row += [str(sum(n["steps_without_effect"] for n in notes))]
        else:
            row += ["-"] * 4
        cells.append(row)
    return table(head, cells, 3)


def time_table(
    latencies: Sequence[Record], cuts: Sequence[Record], rows: Sequence[Record]
) -> list[str]:
    """Seconds of pruning and of retraining on a quiet machine, and the result's latency."""
    cut = {(r["network"], r["target"], r["schedule"]): r["seconds"] for r in cuts}
    late = {(r["network"], r["target"], r["schedule"]): r["milliseconds"] for r in latencies}
    head = ["network", "target", "tool and criterion", "pruning, s", "retraining, s", "in all, s"]
    head += ["ONNX Runtime, batch 1, ms", "batch 32, ms"]
    cells = []
    arms = [r for r in rows if r["what"] == "arm"]
    for key, some in grouped(arms, "network", "target", "schedule").items():
        ms, quiet = late.get(key, {}), [r for r in some if r.get("alone")]
        if not ms and not quiet:
            continue
        if ms:
            row = [f"`{key[0]}`", "", "unpruned", *["-"] * 3]
            cells.append([*row, *(_latency(ms, batch, "start") for batch in ("1", "32"))])
        for (tool, criterion), runs in grouped(some, "tool", "criterion").items():
            first = cut.get(key, {}).get(f"{tool}:{criterion}")
            timed = [r["wall"]["retrain"] for r in runs if r.get("alone")]
            then = statistics.mean(timed) if timed else None
            both = first + then if first is not None and then is not None else None
            row = [f"`{key[0]}`", f"{key[1]:.0%}", arm_name(runs[0])]
            row += ["-" if v is None else f"{v:.1f}" for v in (first, then, both)]
            row += [_latency(ms, batch, f"{tool}:{criterion}") for batch in ("1", "32")]
            cells.append(row)
    return table(head, cells, 3)


def _latency(ms: Mapping[str, Any], batch: str, arm: str) -> str:
    """Mean over seeds, and how many times as fast as the starting network (of its seed, or of all)."""
    times = {k: v["median"] for k, v in ms.get(batch, {}).items()}
    mine = {k.rpartition(":")[2]: t for k, t in times.items() if k.rpartition(":")[0] == arm}
    if not mine:
        return "-"
    gain = statistics.mean(
        times.get(f"start:{seed}", times["start:0"]) / t for seed, t in mine.items()
    )
    return f"{statistics.mean(mine.values()):.2f}" + ("" if arm == "start" else f" ({gain:.2f}x)")


def versions(times: Sequence[Record], rows: Sequence[Record]) -> str:
    m = rows[-1]["machine"]
    found: dict[str, str] = next((r["versions"] for r in reversed(rows) if r.get("versions")), {})
    tail = "".join(f", {k} {v}" for k, v in found.items())
    if times:
        tail += f", ONNX Runtime {times[-1]['onnxruntime']}"
    return f"{m['cpu']}, tier {m['isa']}, sentei {m['sentei']}{tail}."


def tables(rows: Sequence[Record], times: Sequence[Record], cuts: Sequence[Record] = ()) -> str:
    """Markdown of everything: arms, latencies, seconds of pruning."""
    lines = [versions(times, rows), "", *settings_table(rows), *accuracy_table(rows)]
    if plot(rows):
        lines += ["![accuracy against FLOPs](field.svg)", ""]
    lines += ["### FLOPs asked for and reached", "", *behaviour_table(rows)]
    if len(timed := time_table(times, cuts, rows)) > 3:
        lines += ["### Time", "", *timed]
    return "\n".join(lines)


def plot(rows: Sequence[Record]) -> str:
    """Accuracy against FLOPs of the networks with several targets; nothing where there is none."""
    arms = [r for r in rows if r["what"] == "arm" and r["schedule"] == "once"]
    several = [
        k for k, some in grouped(arms, "network").items() if len({r["target"] for r in some}) > 1
    ]
    if not several:
        return ""
    network = several[0][0]
    begin = [r["accuracy"] for r in rows if r["what"] == "start" and r["network"] == network]
    first = (1.0, statistics.mean(begin), statistics.stdev(begin) if len(begin) > 1 else 0.0)
    series = []
    mine = [r for r in arms if r["network"] == network]
    for runs in grouped(mine, "tool", "criterion").values():
        found = [first]
        for some in grouped(runs, "target").values():
            scores = [r["accuracy"] for r in some]
            off = statistics.stdev(scores) if len(scores) > 1 else 0.0
            found.append((statistics.mean(r["share"] for r in some), statistics.mean(scores), off))
        name = arm_name(runs[0]).replace("`", "")
        series.append(Spread(name, tuple(sorted(found, reverse=True))))
    title = f"{network}: test accuracy against FLOPs that remain, {len(begin)} seeds"
    return spreads(title, "FLOPs that remain", "accuracy", series)
