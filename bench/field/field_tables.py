"""Tables and the plot of docs/field.md from records of bench_field.py and time_field.py."""

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
    return list(found.values())


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
    head = ["network", "seeds", "images", "epochs", "steps of retraining", "score images"]
    head += ["channels between scorings", "test images"]
    cells = []
    for (network,), some in grouped(rows, "network").items():
        s, seeds = some[0]["settings"], {r["seed"] for r in some}
        numbers = (len(seeds), s["images"], s["epochs"], s["steps"], s["score_images"])
        numbers += (s["channels"], s["test_images"])
        cells.append([f"`{network}`", *(f"{n:,}" for n in numbers)])
    return table(head, cells, 1)


def accuracy_table(rows: Sequence[Record]) -> list[str]:
    """Every arm of a network: mean and deviation over seeds."""
    starts = {(r["network"], r["seed"]): r for r in rows if r["what"] == "start"}
    lines: list[str] = []
    for (network,), some in grouped(rows, "network").items():
        mine = [r for r in starts.values() if r["network"] == network]
        before = spread([r["accuracy"] for r in mine], points)
        lines += [f"### `{network}`", "", said_of_start(mine, before), ""]
        head = ["target", "schedule", "tool and criterion", "FLOPs left, %", "parameters left, %"]
        head += ["right after the cut, %", "retrained, %", "change, points", "peak memory, MiB"]
        cells = []
        arms = [r for r in some if r["what"] != "start"]
        for key, runs in grouped(arms, "target", "schedule", "tool", "criterion").items():
            good = [r for r in runs if r["what"] == "arm"]
            row = [f"{key[0]:.0%}", WORDS[key[1]], arm_name(runs[0])]
            if good:
                change = [r["accuracy"] - starts[network, r["seed"]]["accuracy"] for r in good]
                row += [spread([r[k] for r in good], points) for k in ("share", "params_share")]
                row += [spread([r[k] for r in good], points) for k in ("cut_accuracy", "accuracy")]
                row += [spread(change, points)]
                row += [f"{statistics.median(r['peak_bytes'] for r in good) / 2**20:.0f}"]
            else:
                row += ["-"] * 6
            if len(good) < len(runs):
                bad = next(r for r in runs if r["what"] == "failed")
                row[2] += f" (failed {len(runs) - len(good)} of {len(runs)}: {bad['failed']})"
            cells.append(row)
        lines += table(head, cells, 3)
    return lines


def said_of_start(starts: Sequence[Record], before: str) -> str:
    """One sentence on the networks that all arms begin from."""
    some = starts[0]
    apart = max(abs(r["accuracy"] - r["own_accuracy"]) for r in starts)
    return (
        f"Unpruned: {before} % ({len(starts)} seeds), {some['macs'] / 1e6:.1f} million multiply-adds = "
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


def time_table(times: Sequence[Record], rows: Sequence[Record]) -> list[str]:
    """Seconds of pruning and in all, and the result's latency, on a quiet machine."""
    found: dict[tuple[str, float], dict[str, Record]] = {}
    for r in times:
        found.setdefault((r["network"], r["target"]), {})[r["what"]] = r
    steps = {r["network"]: r["settings"]["steps"] for r in rows}
    head = [
        "network",
        "target",
        "tool and criterion",
        "pruning, s",
        "a step, ms",
        "steps",
        "in all, s",
    ]
    head += ["ONNX Runtime, batch 1, ms", "batch 32, ms"]
    cells = []
    for (network, target), r in found.items():
        arms = [*r["prune"]["seconds"]] if "prune" in r else []
        late = r.get("latency", {}).get("milliseconds", {})
        if late:
            arms = ["start", *(arms or [a for a in late["1"] if a != "start"])]
        for arm in arms:
            tool, _, criterion = arm.partition(":")
            name = "unpruned" if arm == "start" else f"{TOOLS[tool]} `{criterion}`"
            cut = r.get("prune", {}).get("seconds", {}).get(arm)
            step = r.get("step", {}).get("milliseconds", {}).get(arm, {}).get("median")
            row = [
                f"`{network}`",
                f"{target:.0%}",
                name,
                _or_dash(cut, ".1f"),
                _or_dash(step, ".0f"),
            ]
            row += [str(steps[network]) if step else "-"]
            row += [_or_dash(cut + steps[network] * step / 1e3 if cut and step else None, ".1f")]
            for batch in ("1", "32"):
                ms = {k: v["median"] for k, v in late.get(batch, {}).items()}
                gain = f" ({ms['start'] / ms[arm]:.2f}x)" if arm in ms and arm != "start" else ""
                row.append(_or_dash(ms.get(arm), ".2f") + gain)
            cells.append(row)
    return table(head, cells, 3)


def _or_dash(value: float | None, form: str) -> str:
    return "-" if value is None else f"{value:{form}}"


def versions(times: Sequence[Record], rows: Sequence[Record]) -> str:
    m = rows[-1]["machine"]
    tail = f", PyTorch {times[-1]['torch']}" if times else ""
    ort = [r["onnxruntime"] for r in times if "onnxruntime" in r]
    tail += f", ONNX Runtime {ort[-1]}" if ort else ""
    return f"{m['cpu']}, tier {m['isa']}, {m['threads']} threads, sentei {m['sentei']}{tail}."


def tables(rows: Sequence[Record], times: Sequence[Record]) -> str:
    """Markdown of everything."""
    lines = [versions(times, rows), "", *settings_table(rows), *accuracy_table(rows)]
    if plot(rows):
        lines += ["![accuracy against FLOPs](field.svg)", ""]
    lines += ["### FLOPs asked for and reached", "", *behaviour_table(rows)]
    if times:
        lines += ["### Time", "", *time_table(times, rows)]
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
