#!/usr/bin/env python3
"""One run of `sentei demo` as a record, and the tutorial's pictures and screens made of it.

usage: demo.py run [--record FOLDER]   run the demonstration, append a line to bench/results/FOLDER/demo.jsonl
       demo.py write                   draw docs/tutorial/*.svg and fill the marked blocks of the pages
A marked block stands between `<!-- demo: NAME -->` and `<!-- end demo -->`. The latest record is shown.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
from harness import RESULTS, record
from sentei.report import judge
from sentei.report.analysis import removed_chart
from sentei.report.charts import accuracy_chart, learning_charts, score_chart
from sentei.report.page import FONT, standalone
from sentei.report.style import CSS
from sentei.report.svg import WIDTH, escape, tag
from sentei.report.verdict import Figure, figures

ROOT = Path(__file__).resolve().parents[1]
PAGES = (ROOT / "docs" / "tutorial.md", ROOT / "README.md")
PICTURES = ROOT / "docs" / "tutorial"
BLOCK = re.compile(r"(<!-- demo: (\w+) -->\n).*?(<!-- end demo -->)", re.S)
# What pictures and screens need of report.json.
KEPT = (
    "seed", "machine", "network", "dataset", "training", "steps", "verified", "accuracy", "loss",
    "macs", "flops", "params", "file_bytes", "latency_ms", "layers", "verify", "target", "criterion",
    "scores", "skipped", "seconds", "trust", "pruning_loop",
)  # fmt: skip
STEP = ("step", "layer", "channel", "macs", "params", "max_abs_diff", "accuracy_after_retrain")


def run(folder: str) -> Path:
    """Run the demonstration in an empty folder, keep what it printed and what it wrote."""
    with tempfile.TemporaryDirectory() as place:
        command = [sys.executable, "-m", "sentei", "demo", "--run-dir", "runs/demo"]
        got = subprocess.run(command, cwd=place, capture_output=True, text=True, check=True)
        report = json.loads((Path(place) / "runs" / "demo" / "report.json").read_text())
        here = str(Path(place).resolve()) + "/"
        screen = {"progress": got.stderr, "summary": got.stdout}
        screen = {k: v.replace(here, "").replace(f"{place}/", "") for k, v in screen.items()}
        files = sorted(p.name for p in (Path(place) / "runs" / "demo").iterdir())
    short = {k: v for k, v in report.items() if k in KEPT}
    short["steps"] = [{k: s[k] for k in STEP if s.get(k) is not None} for s in short["steps"]]
    return record(folder, "demo", {"screen": screen, "files": files, "report": short})


def latest() -> dict[str, Any]:
    """The newest record of any folder."""
    lines = [x for p in RESULTS.glob("*/demo.jsonl") for x in p.read_text().splitlines()]
    return max((json.loads(x) for x in lines), key=lambda r: r["date"])


# -- text ---------------------------------------------------------------------------------------
def blocks(r: dict[str, Any]) -> dict[str, str]:
    """What stands between the marks, by name."""
    report, progress = r["report"], r["screen"]["progress"].splitlines()
    at = [i for i, x in enumerate(progress) if x and not x.startswith(" ")]
    parts = ["\n".join(progress[a:b]) for a, b in zip(at, [*at[1:], None], strict=True)]
    machine = report["machine"]
    largest = max(s["max_abs_diff"] for s in report["steps"])
    facts = (
        f"{machine['cpu']}, {machine['threads']} threads, {report['seconds']['total']:.0f} seconds, "
        f"{r['date'][:10]}."
    )
    widths = ["| layer | filters before | after | MACs before | after |"]
    widths.append("| --- | ---: | ---: | ---: | ---: |")
    for row in report["layers"]:
        widths.append(
            f"| `{row['name']}` | {row['before']} | {row['after']} "
            f"| {row['macs_before']:,} | {row['macs_after']:,} |"
        )
    counts = (
        f"{len(report['steps'])} removals, each with its proof; the largest difference of all was "
        f"{largest:.1e} where rounding allows {report['verify']['tolerance']:.1e}."
    )
    return {
        "machine": facts,
        "training": screen(parts[0]),
        "pruning": screen(parts[1]),
        "finetuning": screen("\n".join(parts[2:])),
        "summary": screen(r["screen"]["summary"].strip("\n")),
        "widths": "\n".join(widths),
        "removals": counts,
        "caption": judge(report).sentence,
    }


def screen(text: str) -> str:
    """What was on the screen, as a block of text."""
    return f"```text\n{text}\n```"


def filled(page: str, r: dict[str, Any]) -> str:
    """A page with its marked blocks."""
    made = blocks(r)
    return BLOCK.sub(lambda m: f"{m[1]}{made[m[2]]}\n{m[3]}", page)


# -- pictures -----------------------------------------------------------------------------------
def cut(svg: str, x: float, y: float, width: float) -> tuple[str, float]:
    """A chart as a part of another picture, and how high it is there."""
    box = re.search(r'viewBox="0 0 \S+ ([\d.]+)"', svg)
    assert box is not None
    height = float(box[1]) * width / WIDTH
    size = f'x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}"'
    return svg.replace("<svg ", f"<svg {size} ", 1), height


def card(figure: Figure, x: float, y: float, width: float) -> str:
    """A figure as the report shows it: now, before, a bar of what remains, the gain."""
    texts = [
        ("15", "soft", figure.label),
        ("42", "now", figure.after or figure.before),
        ("62", "soft", f"from {figure.before}"),
        ("94", "gain", figure.gain),
    ]
    out = [f'<line class="head" x1="{x}" x2="{x + width}" y1="{y - 3}" y2="{y - 3}"/>']
    for down, kind, text in texts:
        out.append(f'<text class="{kind}" x="{x}" y="{y + int(down)}">{escape(text)}</text>')
    if figure.remaining is not None:
        share = min(1.0, figure.remaining)
        out.append(f'<rect class="whole" x="{x}" y="{y + 72}" width="{width}" height="5"/>')
        left = f"{width * share:.1f}"
        out.append(f'<rect class="after" x="{x}" y="{y + 72}" width="{left}" height="5"/>')
    return "".join(out)


def wrapped(text: str, most: int) -> list[str]:
    """Lines of at most so many letters."""
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > most:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


def summary(report: dict[str, Any]) -> str:
    """The head of the report: the sentence, four figures, two charts, on its own ground."""
    wide, edge = 960, 28
    lines = wrapped(judge(report).sentence, 62)
    out = []
    for i, line in enumerate(lines):
        out.append(f'<text class="head" x="{edge}" y="{52 + 32 * i}">{escape(line)}</text>')
    top = 52 + 32 * len(lines) + 4
    shown = {f.key: f for f in figures(report)}
    keys = ["accuracy", *[k for k in shown if k.startswith("latency")][:1], "flops", "file_bytes"]
    width = (wide - 2 * edge - 3 * 24) / 4
    for i, key in enumerate(keys):
        out.append(card(shown[key], edge + i * (width + 24), top, width))
    top += 140
    half = (wide - 2 * edge - 40) / 2
    charts = (
        (0, "Accuracy while pruning", accuracy_chart(report)),
        (1, "Filters removed per layer, over the FLOPs", removed_chart(report, "macs")),
        (1, "Scores of the channels that are left", score_chart(report)),
    )
    ends = [top, top]
    for column, title, svg in charts:
        x, y = edge + column * (half + 40), ends[column]
        out.append(f'<text class="title" x="{x}" y="{y}">{title}</text>')
        part, height = cut(svg, x, y + 12, half)
        out.append(part)
        ends[column] += height + 44
    high = max(ends) - 12
    own = (
        ".ground{fill:var(--paper)}text.head{font-size:25px;"
        "font-weight:600;fill:var(--ink)}line.head{stroke:var(--ink)}text.soft{font-size:13px;"
        "fill:var(--soft)}text.now{font-size:26px;font-weight:600}text.gain{font-size:13.5px;"
        "font-weight:600}text.title{font-size:15px;font-weight:600}.whole{fill:var(--line)}"
    )
    title = tag("title", escape(judge(report).sentence))
    ground = f'<rect class="ground" width="{wide}" height="{high:g}"/>'
    return (
        f'<svg viewBox="0 0 {wide} {high:g}" role="img" xmlns="http://www.w3.org/2000/svg">'
        f"<style>{CSS}{FONT}{own}</style>{title}{ground}{''.join(out)}</svg>\n"
    )


def pictures(r: dict[str, Any]) -> dict[str, str]:
    """SVG by file name."""
    report = r["report"]
    drawn = {
        "summary": summary(report),
        "accuracy": standalone(accuracy_chart(report)),
        "removed": standalone(removed_chart(report, "macs")),
        "scores": standalone(score_chart(report)),
    }
    drawn["learning"] = standalone(dict(learning_charts(report))["Accuracy"])
    return {f"{name}.svg": svg for name, svg in drawn.items()}


def write() -> None:
    r = latest()
    PICTURES.mkdir(exist_ok=True)
    for name, svg in pictures(r).items():
        (PICTURES / name).write_text(svg, encoding="utf-8", newline="\n")
    for page in PAGES:
        page.write_text(filled(page.read_text(encoding="utf-8"), r), encoding="utf-8")


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("what", choices=("run", "write"))
    p.add_argument("--record", default="xeon-avx512-2-cores", help="folder below bench/results")
    args = p.parse_args()
    if args.what == "run":
        print(run(args.record))
    else:
        write()


if __name__ == "__main__":
    main()
