#!/usr/bin/env python3
"""Pictures of the methods pages: semi-synchronous groups, the sparse penalty, activations, logits.

usage: plot_methods.py [--record FOLDER] [--epochs N] OUT_FOLDER
Writes semi-sync.svg (which rows each of 14 updates moves, from sentei.optim.groups), sparse.svg (the
penalty of an element and its slope), basics.svg (activations and their slopes, by the ops themselves)
and discriminant.svg: test digits of mnist-mini in the plane of the
two main axes of the training logits, trained without and with the term. The last one is drawn from
`discriminant.jsonl` under bench/results/FOLDER; with --epochs it is trained anew, and recorded where
--record says.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from harness import RESULTS, record
from plots import COLOURS, STYLE, WIDTH
from sentei import nn, ops, optim, regularizers
from sentei.data import Dataset, load
from sentei.optim.semi_sync import rows_of
from sentei.prune.maps import principal_axes
from sentei.train import Trainer
from sentei.workflow.check import criterion

LAM, SHOWN = 0.1, 400


def picture(height: float, title: str, *parts: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" role="img">'
        f"<title>{title}</title><style>{STYLE}</style>{''.join(parts)}</svg>\n"
    )


def semi_sync(m: int = 10, steps: int = 14) -> str:
    """Rows down, updates along; two partitions side by side."""
    out, side = [], 20
    for panel, (seed, title) in enumerate(((None, "contiguous"), (0, "permuted (seed 0)"))):
        left, top = 50 + panel * 350, 34
        offsets, rows = optim.groups(m), rows_of(m, 0, seed)
        count = len(offsets) - 1
        out.append(f'<text class="h" x="{left}" y="20">{title}: M = {m}, G = {count}</text>')
        for t in range(steps):
            active = set(rows[offsets[t % count] : offsets[t % count + 1]].tolist())
            for r in range(m):
                fill = COLOURS[t % count] if r in active else "none"
                out.append(
                    f'<rect x="{left + t * side}" y="{top + r * side}" width="{side - 2}" '
                    f'height="{side - 2}" fill="{fill}" stroke="#8a8f98" stroke-width=".5"/>'
                )
        end = top + m * side
        out.append(f'<text class="m" text-anchor="end" x="{left - 8}" y="{top + 14}">row 0</text>')
        out.append(f'<text class="m" text-anchor="end" x="{left - 8}" y="{end - 6}">{m - 1}</text>')
        out.append(f'<text class="m" x="{left}" y="{end + 16}">update t = 0, 1, 2, ...</text>')
    return picture(34 + m * side + 26, "Rows that each update moves", *out)


def sparse() -> str:
    """log(1 + u^2) and 2u / (1 + u^2), beside the penalty u^2 of weight decay."""
    left, top, high, wide = 50, 20, 240, WIDTH - 70
    low, up = -2.0, 4.0

    def at(u: float, v: float) -> tuple[float, float]:
        return left + wide * (u + 4) / 8, top + high * (up - v) / (up - low)

    out = []
    for v in range(-2, 5):
        y = at(0, v)[1]
        out.append(f'<line x1="{left}" x2="{left + wide}" y1="{y:.1f}" y2="{y:.1f}"/>')
        out.append(f'<text class="m" text-anchor="end" x="{left - 8}" y="{y + 4:.1f}">{v}</text>')
    for u in range(-4, 5):
        x = at(u, low)[0]
        out.append(
            f'<text class="m" text-anchor="middle" x="{x:.1f}" y="{top + high + 18}">{u}</text>'
        )
    us = np.linspace(-4, 4, 161)
    lines = {
        "log(1 + u\u00b2)": np.log1p(us**2),
        "its slope 2u / (1 + u\u00b2)": 2 * us / (1 + us**2),
        "u\u00b2": us**2,
    }
    for i, (name, line) in enumerate(lines.items()):
        points = " ".join(
            f"{x:.1f},{y:.1f}"
            for x, y in (at(u, v) for u, v in zip(us, line, strict=True) if v <= up)
        )
        out.append(f'<polyline stroke="{COLOURS[i]}" points="{points}"/>')
        x, y = left + i * 190, top + high + 42
        out.append(f'<polyline stroke="{COLOURS[i]}" points="{x},{y - 4} {x + 18},{y - 4}"/>')
        out.append(f'<text x="{x + 24}" y="{y}">{name}</text>')
    return picture(top + high + 54, "The sparse penalty of one element", *out)


def basics() -> str:
    """Activations and, dashed, their slopes: computed by the ops, not by formulas of this script."""
    xs = np.linspace(-4, 4, 161).astype(np.float32)
    one = np.ones_like(xs)
    left, top, high, wide = 50, 20, 250, WIDTH - 70
    low, up = -1.5, 4.0

    def points(ys: Any) -> str:
        kept = zip(xs, np.clip(np.asarray(ys, np.float64), low, up), strict=True)
        return " ".join(
            f"{left + wide * (x + 4) / 8:.1f},{top + high * (up - y) / (up - low):.1f}"
            for x, y in kept
        )

    y_elu, y_tanh = ops.elu_forward(xs, alpha=1.0), ops.tanh_forward(xs)
    y_logistic, y_relu = ops.logistic_forward(xs), ops.relu_forward(xs)
    lines = {
        "ReLU": (y_relu, ops.relu_backward(y_relu, one)),
        "ELU": (y_elu, ops.elu_backward(y_elu, one, alpha=1.0)),
        "sigmoid": (y_logistic, ops.logistic_backward(y_logistic, one)),
        "tanh": (y_tanh, ops.tanh_backward(y_tanh, one)),
        "softplus": (ops.softplus_forward(xs), ops.softplus_backward(xs, one)),
    }
    out = []
    for v in range(-1, 5):
        y = top + high * (up - v) / (up - low)
        out.append(f'<line x1="{left}" x2="{left + wide}" y1="{y:.1f}" y2="{y:.1f}"/>')
        out.append(f'<text class="m" text-anchor="end" x="{left - 8}" y="{y + 4:.1f}">{v}</text>')
    for x in range(-4, 5):
        at = left + wide * (x + 4) / 8
        out.append(
            f'<text class="m" text-anchor="middle" x="{at:.1f}" y="{top + high + 18}">{x}</text>'
        )
    for i, (name, (value, slope)) in enumerate(lines.items()):
        colour = COLOURS[i]
        out.append(f'<polyline stroke="{colour}" points="{points(value)}"/>')
        dashes = 'stroke-dasharray="3 4" stroke-opacity=".7"'
        out.append(f'<polyline stroke="{colour}" {dashes} points="{points(slope)}"/>')
        x, y = left + i * 110, top + high + 42
        out.append(f'<polyline stroke="{colour}" points="{x},{y - 4} {x + 18},{y - 4}"/>')
        out.append(f'<text x="{x + 24}" y="{y}">{name}</text>')
    out.append(f'<text class="m" x="{left + 560}" y="{top + high + 42}">dashed: slope</text>')
    return picture(top + high + 54, "Activations and their slopes", *out)


def trained(lam: float, epochs: int) -> dict[str, Any]:
    """A small network on the digits in the package, with or without the term."""
    train, test = (
        Dataset((p.images / np.float32(255)).astype(np.float32), p.labels)
        for p in load("mnist-mini")
    )
    layers = [nn.Conv2d(16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(32, 5), nn.ReLU()]
    model = nn.build([*layers, nn.MaxPool2d(2), nn.Flatten(), nn.Linear(10)], (28, 28, 1), seed=0)
    terms = [regularizers.Discriminant(lam)] if lam else []
    t = Trainer(model, optim.SGD(0.02, momentum=0.9), batch=100, seed=0, regularizers=terms)
    t.fit(train, epochs=epochs, progress="none")
    y0, y1 = (t.model.predict(np.ascontiguousarray(p.images)) for p in (train, test))
    mean, axes, share = principal_axes(y0)
    points = (y1[:SHOWN] - mean) @ axes
    return {
        "lam": lam, "epochs": epochs, "accuracy": t.evaluate(test)["accuracy"],
        "criterion": float(criterion(y1, test.labels).mean()), "share": share.tolist(),
        "points": np.round(points, 3).tolist(), "labels": test.labels[:SHOWN].tolist(),
    }  # fmt: skip


def discriminant(rows: list[dict[str, Any]]) -> str:
    """A panel per row, one colour per class; either panel has its own scale."""
    hues = [f"hsl({36 * k} 62% {44 + 14 * (k % 2)}%)" for k in range(10)]
    out, side = [], 310.0
    for panel, row in enumerate(rows):
        left, top = 20 + panel * 350, 44
        p = np.array(row["points"])
        low, span = p.min(0), float(np.ptp(p, axis=0).max()) or 1.0
        name = f"lam = {row['lam']:g}" if row["lam"] else "without"
        said = f"1 - W/T {row['criterion']:.3f}, accuracy {row['accuracy']:.2%}"
        out.append(f'<text class="h" x="{left}" y="18">{name}</text>')
        out.append(f'<text class="m" x="{left}" y="35">{said}</text>')
        for (x, y), k in zip((p - low) / span * side, row["labels"], strict=True):
            cx, cy = left + x, top + side - y
            out.append(f'<circle cx="{cx:.1f}" cy="{cy:.1f}" r="2.4" fill="{hues[k]}"/>')
    for k in range(10):
        x = 24 + 40 * k
        out.append(f'<circle cx="{x}" cy="{side + 62}" r="4" fill="{hues[k]}"/>')
        out.append(f'<text x="{x + 8}" y="{side + 66}">{k}</text>')
    return picture(side + 76, "Logits of test digits in two dimensions", *out)


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("out", type=Path)
    p.add_argument("--record", default="xeon-avx512-2-cores")
    p.add_argument("--epochs", type=int, default=0, help="train anew for so many epochs")
    args = p.parse_args()
    path = RESULTS / args.record / "discriminant.jsonl"
    if args.epochs:
        for lam in (0.0, LAM):
            row = trained(lam, args.epochs)
            record(args.record, "discriminant", row)
            print({k: v for k, v in row.items() if k not in ("points", "labels")})
    rows = [json.loads(line) for line in path.read_text().splitlines()][-2:]
    for name, text in (
        ("semi-sync", semi_sync()),
        ("sparse", sparse()),
        ("basics", basics()),
        ("discriminant", discriminant(rows)),
    ):
        (args.out / f"{name}.svg").write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
