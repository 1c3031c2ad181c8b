#!/usr/bin/env python3
"""Variances of signals and gradients in the 34-layer network F34, by rule of the initial weights.

usage: bench_init.py [--seeds N] [--images N] [--size PIXELS] [--data FOLDER] [--record FOLDER] [--plot FILE]
Each rule draws weights of F34 (max pooling after the first layer, global average pooling at the end,
ten classes); one mini-batch of standardised images goes forward and back through it. A line per rule
and seed: variance of every layer's output, and of the gradient that reaches its input in units of that
at the logits. Images: CIFAR-10's, every pixel repeated up to PIXELS (--data: the folder of data sets),
else a normal field with the spectrum of photographs (1/f), standardised. --plot draws the median over
the seeds of a record as an SVG.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from harness import RESULTS, record
from plots import COLOURS, STYLE, WIDTH
from sentei import init
from sentei.data import Standardize, load
from sentei.nn import models

RULES = ("xavier", "glorot", "kaiming", "kaiming_fan_out", "henmi_kato", "henmi_kato_backward")


def images(args: Any, rng: np.random.Generator) -> np.ndarray:
    n, size = args.images, args.size
    if args.data:
        train, _ = load("cifar10", data_dir=args.data)
        chosen = np.ascontiguousarray(train.images[rng.permutation(len(train))[:n]])
        chosen = Standardize.fit(train).apply(chosen)
        return np.ascontiguousarray(chosen.repeat(size // 32, 1).repeat(size // 32, 2))
    f = np.hypot(*np.meshgrid(np.fft.fftfreq(size), np.fft.rfftfreq(size), indexing="ij"))
    f[0, 0] = 1 / size
    noise = rng.standard_normal((n, size, size, 3))
    field = np.fft.irfft2(
        np.fft.rfft2(noise, axes=(1, 2)) / f[..., None], (size, size), axes=(1, 2)
    )
    field -= field.mean((0, 1, 2))
    return (field / field.std((0, 1, 2))).astype(np.float32)


def measure(rule: str, seed: int, x: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    model = models.build("f34", x.shape[1:], 10, seed=seed, init=rule)
    rows = init.probe(model, x, labels)
    return {
        "rule": rule, "seed": seed, "size": x.shape[1], "images": len(x),
        "layers": [r.name for r in rows], "signal": [r.signal for r in rows],
        "gradient": [r.gradient for r in rows],
    }  # fmt: skip


def medians(rows: list[dict[str, Any]], rule: str, key: str) -> list[float]:
    mine = [r[key] for r in rows if r["rule"] == rule]
    return [statistics.median(column) for column in zip(*mine, strict=True)]


def draw(rows: list[dict[str, Any]]) -> str:
    """Two panels: signals forward, gradients backward; a line per rule, logarithmic."""
    out, high, left = [], 230, 60
    shown = [r for r in RULES if any(x["rule"] == r for x in rows)]
    for panel, (key, title) in enumerate(
        (
            ("signal", "Variance of each layer's output"),
            ("gradient", "Variance of the gradient at its input"),
        )
    ):
        top = 30 + panel * (high + 66)
        lines = {r: [math.log10(max(v, 1e-30)) for v in medians(rows, r, key)] for r in shown}
        every = [v for line in lines.values() for v in line]
        low, up = math.floor(min(every)), math.ceil(max(every))
        count, step = len(next(iter(lines.values()))), max(1, (up - low) // 6)

        def at(i: float, v: float, top=top, low=low, up=up, count=count) -> tuple[float, float]:
            return left + (WIDTH - left - 20) * i / (count - 1), top + high * (up - v) / (up - low)

        out.append(f'<text class="h" x="{left}" y="{top - 12}">{title}</text>')
        for v in range(low, up + 1, step):
            y = at(0, v)[1]
            out.append(f'<line x1="{left}" x2="{WIDTH - 20}" y1="{y:.1f}" y2="{y:.1f}"/>')
            out.append(
                f'<text class="m" text-anchor="end" x="{left - 8}" y="{y + 4:.1f}">1e{v}</text>'
            )
        if low <= 0 <= up:
            y = at(0, 0)[1]
            out.append(
                f'<line class="one" x1="{left}" x2="{WIDTH - 20}" y1="{y:.1f}" y2="{y:.1f}"/>'
            )
        for colour, (name, line) in zip(COLOURS, lines.items(), strict=False):
            points = " ".join(f"{x:.1f},{y:.1f}" for x, y in (at(i, v) for i, v in enumerate(line)))
            out.append(
                f'<polyline stroke="{colour}" points="{points}"><title>{name}</title></polyline>'
            )
        for i in range(0, count, 4):
            x = at(i, low)[0]
            out.append(
                f'<text class="m" text-anchor="middle" x="{x:.1f}" y="{top + high + 18}">{i + 1}</text>'
            )
        out.append(
            f'<text class="m" text-anchor="end" x="{WIDTH - 20}" y="{top + high + 34}">layer</text>'
        )
    tall, x = 30 + 2 * (high + 66), left
    for colour, name in zip(COLOURS, shown, strict=False):
        out.append(f'<polyline stroke="{colour}" points="{x},{tall + 2} {x + 18},{tall + 2}"/>')
        out.append(f'<text x="{x + 23}" y="{tall + 6}">{name}</text>')
        x += 40 + 6.6 * len(name)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {tall + 18}" role="img">'
        f"<title>Variances in F34 by rule of the initial weights</title><style>{STYLE}</style>"
        + "".join(out) + "</svg>\n"
    )  # fmt: skip


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--seeds", type=int, default=3)
    p.add_argument("--images", type=int, default=8)
    p.add_argument("--size", type=int, default=224)
    p.add_argument("--data", help="folder of data sets with CIFAR-10")
    p.add_argument("--record", help="folder under bench/results")
    p.add_argument("--plot", help="SVG to draw of the record, or of this run")
    args = p.parse_args()
    rows = []
    for seed in range(args.seeds):
        rng = np.random.default_rng([seed, 34])
        x, labels = images(args, rng), rng.integers(0, 10, args.images)
        for rule in RULES:
            row = {"images_of": "cifar10" if args.data else "1/f", **measure(rule, seed, x, labels)}
            rows.append(row)
            s, g = row["signal"], row["gradient"]
            print(
                f"seed {seed} {rule:<20} signal {s[0]:9.3g} to {s[-1]:9.3g}   "
                f"gradient {g[0]:9.3g} to {g[-1]:9.3g}", flush=True,
            )  # fmt: skip
            if args.record:
                record(args.record, "init", row)
    if args.plot:
        if args.record:
            path = RESULTS / args.record / "init.jsonl"
            rows = [json.loads(line) for line in path.read_text().splitlines()]
        Path(args.plot).write_text(draw(rows), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
