"""The CPU part of the performance page: tables and plots from records."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from plots import Bars, Line, bars, lines

Record = dict[str, Any]
Reader = Callable[[str], list[tuple[str, Record]]]
PEERS = {
    "torch_nchw": "eager NCHW",
    "torch_channels_last": "eager channels_last",
    "torch_compile": "compiled NCHW",
    "torch_compile_channels_last": "compiled channels_last",
}
OURS = {
    "sentei": "sentei",
    "sentei_precise": "sentei `precise`",
    "sentei_fast": "sentei `fast`",
    "sentei_bfloat16": "sentei `bfloat16`",
}
WORKS = {"train": "training step", "infer": "inference"}
SWEEPS = {
    "batch": "batch (images)",
    "width": "width (factor of all inner widths)",
    "size": "image size (pixels a side)",
}


def latest(found: Iterable[tuple[str, Record]], *keys: str) -> dict[str, dict[Any, Record]]:
    """Per folder the last record of each combination of keys."""
    rows: dict[str, dict[Any, Record]] = {}
    for folder, r in found:
        rows.setdefault(folder, {})[tuple(r.get(k) for k in keys)] = r
    return rows


def steps(read: Reader) -> dict[str, dict[Any, Record]]:
    """Per folder the steps, with `gains`: how many times as long each peer takes as each of our arms.

    A peer that another piece at the same commit has timed is joined by its ratios of that piece.
    """
    rows = latest(read("step"), "network", "work", "batch")
    for folder, r in read("step"):
        last = rows[folder][r["network"], r["work"], r["batch"]]
        if r["machine"]["commit"] != last["machine"]["commit"]:
            continue
        medians = {k: v["median"] for k, v in r["milliseconds"].items()}
        gains = last.setdefault("gains", {})
        times = last.setdefault("peer_ms", {})
        for peer in (p for p in PEERS if p in medians):
            mine = {k: medians[peer] / v for k, v in medians.items() if k in OURS}
            gains[peer], times[peer] = mine, medians[peer]
    for r in (r for some in rows.values() for r in some.values()):
        r["gains"] = {p: r["gains"][p] for p in PEERS if p in r.get("gains", {})}
    return rows


def best(r: Mapping[str, Any]) -> str:
    """The fastest peer of a joined record."""
    return min(r["gains"], key=lambda peer: float(r["gains"][peer]["sentei"]), default="")


def about(folder: str, r: Mapping[str, Any]) -> str:
    """One line on the machine."""
    m = r["machine"]
    by = {"fma": "a loop of multiply-adds"}.get(r.get("peak_by", "torch.mm"), "torch.mm")
    peak = f", peak {r['peak_gflops']:.0f} GFLOP/s by {by}" if "peak_gflops" in r else ""
    torch = f", PyTorch {r['torch']}" if "torch" in r else ""
    return f"`{folder}`: {m['cpu']}, tier {m['isa']}, {m['threads']} threads{peak}{torch}."


def table(head: list[str], rows: list[list[str]], left: int = 2) -> list[str]:
    """Lines of a Markdown table; the first `left` columns are text."""
    line = "| " + " | ".join(["---"] * left + ["---:"] * (len(head) - left)) + " |"
    return ["| " + " | ".join(head) + " |", line, *("| " + " | ".join(r) + " |" for r in rows), ""]


def step_table(rows: Mapping[Any, Record]) -> list[str]:
    """Whole networks: our times, and how many times as long each mode of PyTorch takes."""
    peers = [p for p in PEERS if any(p in r["gains"] for r in rows.values())]
    ours = [a for a in OURS if any(a in r["milliseconds"] for r in rows.values())]
    head = ["network", "work", "batch", *(f"{OURS[a]}, ms" for a in ours)]
    head += [f"PyTorch {PEERS[p]}, ms" for p in peers]
    head += [f"{OURS[a]} against the best" for a in ours]
    cells = []
    for (network, work, batch), r in rows.items():
        ms = {k: v["median"] for k, v in r["milliseconds"].items()}
        row = [f"`{network}`", WORKS[work], str(batch)]
        row += [f"{ms[a]:{_digits(ms[a])}}" if a in ms else "-" for a in ours]
        for p in peers:
            known = p in r["gains"]
            t = r.get("peer_ms", {}).get(p, 0.0)
            gain = r["gains"][p]["sentei"] if known else 0.0
            row.append(f"{t:{_digits(t)}} ({gain:.2f}x)" if known else "-")
        top = r["gains"].get(best(r), {})
        row += [f"{top[a]:.2f}x" if a in top else "-" for a in ours]
        cells.append(row)
    return table(head, cells)


def _digits(ms: float) -> str:
    return ".0f" if ms >= 1000 else ".1f" if ms >= 10 else ".2f"


def conv_table(rows: Mapping[Any, Record]) -> list[str]:
    """Convolutions: share of peak of every arm, and PyTorch's as multiples of our time."""
    arms = [a for a in OURS if any(a in r["milliseconds"] for r in rows.values())]
    peers = [p for p in PEERS if any(p in r["milliseconds"] for r in rows.values())]
    head = ["pass", "layer", "ms", *(f"{OURS[a]}, of peak" for a in arms)]
    head += [f"PyTorch {PEERS[p]}, of peak" for p in peers]
    cells = []
    for (op, case), r in rows.items():
        shares = shares_of(r)
        row = [op.removeprefix("conv2d_").replace("_", " "), case]
        row += [f"{r['milliseconds']['sentei']['median']:.2f}"]
        row += [f"{shares[a]:.0%}" if a in shares else "-" for a in [*arms, *peers]]
        cells.append(row)
    return table(head, cells)


def shares_of(r: Mapping[str, Any]) -> dict[str, float]:
    """Share of the peak that each arm reaches."""
    work = r["flops"] / r["peak_gflops"] / 1e6
    return {k: work / v["median"] for k, v in r["milliseconds"].items()}


def thread_table(rows: Mapping[Any, Record]) -> list[str]:
    """How many times as fast more threads are."""
    counts = sorted({n for r in rows.values() for n in r["speedup"]}, key=int)
    head = ["network", "work", "precision", "1 thread, ms", *(f"{n} threads" for n in counts)]
    cells = []
    for (network, work, precision), r in rows.items():
        one = r["milliseconds"]["sentei_1"]["median"]
        gains = [f"{r['speedup'][n]:.2f}x" if n in r["speedup"] else "-" for n in counts]
        cells.append([f"`{network}`", WORKS[work], precision, f"{one:.1f}", *gains])
    return table(head, cells, 3)


def loop_table(rows: Mapping[Any, Record]) -> list[str]:
    """What a removed channel costs."""
    names = list(dict.fromkeys(k for r in rows.values() for k, v in r["parts"].items() if v))
    head = ["network", "precision", "retraining steps", "s per channel"]
    head += [f"{k}, ms" for k in names] + ["surgery and verification"]
    cells = []
    for (network, precision, _), r in rows.items():
        row = [
            f"`{network}`",
            precision,
            str(r["retrain_steps"]),
            f"{r['seconds_per_channel']:.3f}",
        ]
        row += [f"{r['parts'].get(k, 0.0) * 1e3:.1f}" for k in names]
        cells.append([*row, f"{r['overhead']:.1%}"])
    return table(head, cells)


def memory_table(rows: Mapping[Any, Record]) -> list[str]:
    """Peak memory of a training step."""
    arms = list(dict.fromkeys(a for r in rows.values() for a in r["bytes"]))
    said = {**PEERS, **OURS}
    head = ["network", "work", "batch", *(f"{said.get(a, a)}, MiB" for a in arms)]
    cells = []
    for (network, work, batch), r in rows.items():
        sizes = [f"{r['bytes'][a] / 2**20:.0f}" if a in r["bytes"] else "-" for a in arms]
        cells.append([f"`{network}`", WORKS.get(work, str(work)), str(batch), *sizes])
    return table(head, cells)


def score_table(rows: Mapping[Any, Record]) -> list[str]:
    """What scores cost on top of a training step."""
    cells = [
        [f"`{network}`", str(batch), *(f"{r['ratios'][k] - 1:+.1%}" for k in ("free", "maps"))]
        for (network, batch), r in rows.items()
    ]
    return table(["network", "batch", "free sums", "sums over the maps"], cells, 1)


def scaling_table(rows: Mapping[Any, Record]) -> list[str]:
    """All points of all sweeps."""
    arms = _arms_of(rows.values())
    head = ["sweep", "value", "batch", *(f"{_word(a)}, ms" for a in arms)]
    cells = []
    for (sweep,), r in rows.items():
        for p in r["points"]:
            ms = {k: v["median"] for k, v in p["milliseconds"].items()}
            times = [f"{ms[a]:{_digits(ms[a])}}" if a in ms else "-" for a in arms]
            cells.append([sweep, f"{p['value']:g}", str(p["batch"]), *times])
    return table(head, cells, 1)


def _arms_of(rows: Iterable[Record]) -> list[str]:
    found = {a for r in rows for p in r["points"] for a in p["milliseconds"]}
    return [a for a in [*OURS, *PEERS] if a in found]


def _word(arm: str) -> str:
    return OURS[arm].replace("`", "") if arm in OURS else f"PyTorch {PEERS[arm]}"


SECTIONS: tuple[tuple[str, str, tuple[str, ...], Callable[[Mapping[Any, Record]], list[str]], str], ...] = (
    ("Convolutions", "conv2d", ("op", "case"), conv_table,
     "Shares are multiply-adds of direct convolution per second over the peak; Winograd's may exceed 100 %."),
    ("Memory", "memory_peak", ("network", "work", "batch"), memory_table,
     "Peak memory of a process that makes training steps, above what it holds before."),
    ("Threads", "threads", ("network", "work", "precision"), thread_table,
     "Medians of one thread over those of more, in turn in one run; the results are the same to the bit."),
    ("Cost as batch, width and image size grow", "scaling", ("sweep",), scaling_table,
     "Training step of networks like `vgg13_like`; PyTorch eager with fused SGD."),
    ("Scores", "scores", ("network", "batch"), score_table,
     "Time of a training step that scores all convolutions on the way, over one that does not."),
    ("Pruning loop", "loop", ("network", "precision", "retrain_steps"), loop_table,
     "One channel a round: scoring, surgery and planning, verification, retraining (batch 100); medians."),
)  # fmt: skip


def tables(read: Reader) -> str:
    """Markdown of all CPU records, a section each."""
    parts: list[str] = []
    drawn = plots(read)
    for folder, rows in sorted(steps(read).items()):
        some = list(rows.values())[-1]
        parts += ["## Whole networks", "", about(folder, some)]
        parts += ["Medians; in brackets how many times as long as sentei's default numerics.", ""]
        parts += step_table(rows)
        parts += _images(drawn, f"{folder}-speedup", "Speed-up over PyTorch's modes")
    for heading, name, keys, draw, words in SECTIONS:
        for folder, rows in sorted(latest(_known(read, name), *keys).items()):
            some = list(rows.values())[-1]
            parts += [f"## {heading}", "", about(folder, some), words, ""]
            if name == "scaling":
                for sweep, axis in SWEEPS.items():
                    parts += _images(drawn, f"{folder}-{sweep}", f"Cost against {axis}")
            parts += draw(rows)
    return "\n".join(parts)


def _known(read: Reader, name: str) -> list[tuple[str, Record]]:
    """CPU records; those of scores may be of another device."""
    return [(f, r) for f, r in read(name) if r.get("device", "cpu") == "cpu"]


def _images(drawn: Mapping[str, str], name: str, words: str) -> list[str]:
    return [f"![{words}](plots/{name}.svg)", ""] if f"{name}.svg" in drawn else []


def plots(read: Reader) -> dict[str, str]:
    """All plots by file name."""
    drawn = {}
    for folder, rows in steps(read).items():
        groups = []
        for (network, work, batch), r in rows.items():
            gains = tuple((PEERS[p], g["sentei"]) for p, g in r["gains"].items())
            top = r["gains"].get(best(r), {})
            gains += tuple((f"{_word(a)}: best PyTorch", top[a]) for a in top if a != "sentei")
            groups.append(Bars(f"{network} {work} b{batch}", gains))
        title = "Times as fast as PyTorch's modes, default numerics unless named"
        drawn[f"{folder}-speedup.svg"] = bars(title, "times", groups)
    for folder, rows in latest(read("scaling"), "sweep").items():
        for (sweep,), r in rows.items():
            series = [
                Line(_word(a), tuple(
                    (float(p["value"]), float(p["milliseconds"][a]["median"]))
                    for p in r["points"] if a in p["milliseconds"]
                ))
                for a in _arms_of([r])
            ]  # fmt: skip
            title = f"Training step of networks like vgg13_like against {sweep}"
            drawn[f"{folder}-{sweep}.svg"] = lines(title, SWEEPS[sweep], "milliseconds", series)
    return drawn
