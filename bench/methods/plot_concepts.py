#!/usr/bin/env python3
"""Pictures of docs/concepts.md, drawn from what the package itself says of small networks.

usage: plot_concepts.py OUT_FOLDER
plan.svg: the nodes of a graph, the arena of its plan (sentei.run.make_plan), the runner's steps.
residual.svg: which channels of a residual network go together (sentei.prune.pruning_map).
masked.svg: filters of the masked and of the pruned network, and how far their outputs lie apart.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from plots import COLOURS, STYLE, WIDTH
from sentei import nn, prune
from sentei.run import make_plan

OWN = ".box{fill:none;stroke:#8a8f98}.gone{fill:none;stroke:#d1495b;stroke-width:1.5}"


def picture(height: float, title: str, *parts: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" role="img">'
        f"<title>{title}</title><style>{STYLE}{OWN}</style>{''.join(parts)}</svg>\n"
    )


def text(x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{words}</text>'


def box(x: float, y: float, w: float, h: float, kind: str = "box", fill: str = "") -> str:
    paint = f' style="fill:{fill}"' if fill else ""
    return f'<rect class="{kind}"{paint} x="{x:.1f}" y="{y:.1f}" width="{w:.1f}" height="{h:.1f}"/>'


def plan() -> str:
    """Graph, plan and runner of one small network."""
    layers = [nn.Conv2d(8, 3, padding=1), nn.BatchNorm2d(), nn.ReLU(), nn.MaxPool2d(2)]
    layers += [nn.Conv2d(12, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(10)]
    model = nn.Sequential(*layers).build((28, 28, 1), seed=0)
    made = make_plan(model.graph, batch=1)
    nodes, top, row = model.graph.nodes, 44, 30
    out = [
        text(20, 22, "Graph: nodes in order", "h"),
        text(190, 22, "Plan: one arena, lifetimes known", "h"),
    ]
    out.append(text(560, 22, "Runner: the calls", "h"))
    for i, node in enumerate(nodes):
        y = top + i * row
        out.append(box(20, y, 120, row - 8))
        out.append(text(28, y + 15, node.name))
    bottom = top + len(nodes) * row
    left, wide = 190.0, 330.0
    most = made.memory.arena_bytes
    out.append(box(left, top, wide, bottom - top - 8))
    for i, (value, block) in enumerate(made.memory.blocks.items()):
        y0, y1 = top + block.first * row, top + min(block.last + 1, len(nodes)) * row - 8
        x, w = left + wide * block.offset / most, wide * block.size / most
        out.append(box(x, y0, w, y1 - y0, "", COLOURS[i % len(COLOURS)] + "66"))
        if w > 46:
            out.append(text(x + 4, y0 + 13, value))
    out.append(text(left, bottom + 12, "byte 0", "m"))
    out.append(text(left + wide, bottom + 12, f"{most:,}", "m", "end"))
    whole = sum(made.specs[v].nbytes for v, b in made.memory.blocks.items())
    out.append(text(left, bottom + 28, f"all values side by side: {whole:,} bytes", "m"))
    for i, step in enumerate(made.steps):
        y = top + i * row
        out.append(box(560, y, 140, row - 8))
        out.append(text(568, y + 15, f"{i + 1}. run {step.node.op.name}"))
    out.append(text(560, bottom + 12, "allocated once; the same", "m"))
    out.append(text(560, bottom + 28, "calls for every batch", "m"))
    return picture(bottom + 40, "Graph, plan and runner", *out)


def residual() -> str:
    """Layers as rows of channels; a unit of the stem and one inside the block are marked."""
    inner = nn.Sequential(
        nn.Conv2d(6, 3, padding=1, name="inner1"), nn.ReLU(), nn.Conv2d(8, 3, padding=1, name="inner2")
    )  # fmt: skip
    layers = [nn.Conv2d(8, 3, padding=1, name="stem"), nn.ReLU(), nn.Residual(inner), nn.ReLU()]
    layers += [nn.Conv2d(6, 3, name="next"), nn.Flatten(), nn.Linear(4)]
    model = nn.Sequential(*layers).build((8, 8, 3), seed=0)
    found = prune.pruning_map(model.graph, floor=1)
    # Layers inside a block are named after it.
    by_member = {
        (layer.split(".")[-1], c): unit for unit in found.units for layer, c in unit.members
    }
    weights = {v.split(".")[-2]: t for v, t in model.tensors.items() if v.endswith(".weight")}
    marked = {by_member["stem", 2].label: COLOURS[0], by_member["inner1", 4].label: COLOURS[1]}
    rows = ("stem", "inner1", "inner2", "next")
    out = [text(20, 22, "Filters (one square each) and what a cut takes with it", "h")]
    for r, layer in enumerate(rows):
        y = 44 + 54 * r
        out.append(text(20, y + 18, layer))
        for c in range(weights[layer].shape[0]):
            unit = by_member.get((layer, c))
            fill = marked.get(unit.label, "none") if unit else "none"
            out.append(box(110 + 34 * c, y, 26, 26, "box", fill))
    blue = "stem[2] and inner2[2] meet in the addition:"
    out += [
        text(420, 62, blue), text(420, 80, "one unit, they go together", "m"),
        text(420, 116, "inner1[4] ends inside the block:"), text(420, 134, "it goes alone", "m"),
        text(420, 224, "No filter of next goes, but each loses its slices", "m"),
        text(420, 242, "of the channels that went", "m"),
    ]  # fmt: skip
    return picture(262, "What a cut does to a residual network", *out)


def masked() -> str:
    """The same cut by zeros and by removal; the difference is what `verify` measures."""
    layers = [nn.Conv2d(6, 3, padding=1, name="conv1"), nn.BatchNorm2d(name="bn1"), nn.ReLU()]
    layers += [nn.Conv2d(5, 3, padding=1, name="conv2"), nn.Flatten(), nn.Linear(4)]
    model = nn.Sequential(*layers).build((8, 8, 2), seed=0)
    found = prune.pruning_map(model.graph, floor=1)
    unit = next(u for u in found.units if u.first == ("conv1", 3))
    smaller, _ = prune.remove(model, found, [unit])
    images = np.random.default_rng(0).standard_normal((16, 8, 8, 2), np.float32)
    seen = prune.verify(model, smaller, found, [unit], images)
    out, side = [], 24
    for panel, (title, network) in enumerate((("masked", model), ("pruned", smaller))):
        left = 20 + 360 * panel
        out.append(text(left, 22, f"{title}: {network.costs().params:,} parameters", "h"))
        filters = network.tensors["conv1.weight"].shape[0]
        readers, _, _, slices = network.tensors["conv2.weight"].shape
        out.append(text(left, 50, "filters of conv1, with scale and shift", "m"))
        for k in range(filters):
            zero, x = panel == 0 and k == 3, left + k * (side + 6)
            kind, fill = ("gone", "none") if zero else ("box", COLOURS[0] + "88")
            out.append(box(x, 58, side, side, kind, fill))
            if zero:
                out.append(text(x + side / 2, 75, "0", "", "middle"))
        out.append(text(left, 112, "filters of conv2 (rows), their slices (columns)", "m"))
        for q in range(readers):
            for k in range(slices):
                fill = "none" if panel == 0 and k == 3 else COLOURS[2] + "88"
                out.append(box(left + k * (side + 6), 120 + q * 20, side, 14, "box", fill))
    end = 120 + 5 * 20 + 22
    said = (
        f"16 random images: outputs differ by at most {seen.max_abs_diff:.1e}; "
        f"rounding may make {seen.tolerance:.1e}"
    )
    out.append(text(20, end, said))
    return picture(end + 16, "Masked equals pruned", *out)


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("out", type=Path)
    args = p.parse_args()
    for name, svg in (("plan", plan()), ("residual", residual()), ("masked", masked())):
        (args.out / f"{name}.svg").write_text(svg, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
