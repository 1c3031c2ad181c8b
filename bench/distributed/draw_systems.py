#!/usr/bin/env python3
"""Drawings of the distributed methods' pages: who holds what, and what travels.

usage: draw_systems.py OUT_FOLDER
Writes downpour.svg, sandblaster.svg and data-parallel.svg.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from plots import WIDTH

STYLE = """
svg{font:12px system-ui,sans-serif;background:#fff}
text{fill:#22271f;text-anchor:middle}
.small{font-size:11px;fill:#5b6257}rect{rx:5;stroke:#2b6b4d;fill:#eef3ef}
.data{fill:#f6efe6;stroke:#b3541e}
.boss{fill:#eef0f6;stroke:#3b5b92}path{fill:none;stroke:#5b6257;stroke-width:1.2}
.thin{stroke-dasharray:4 3;stroke:#3b5b92}
"""
HEAD = (
    '<defs><marker id="to" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
    'orient="auto-start-reverse"><path d="M0,0 8,4 0,8z" style="fill:#5b6257;stroke:none"/></marker></defs>'
)


def box(x: float, y: float, w: float, h: float, title: str, line: str = "", kind: str = "") -> str:
    """A box with one or two lines of text, (x, y) its centre at the top."""
    out = f'<rect class="{kind}" x="{x - w / 2:g}" y="{y:g}" width="{w:g}" height="{h:g}"/>'
    middle = y + h / 2 + (4 if not line else -3)
    out += f'<text x="{x:g}" y="{middle:g}">{title}</text>'
    if line:
        out += f'<text class="small" x="{x:g}" y="{middle + 15:g}">{line}</text>'
    return out


def arrow(x0: float, y0: float, x1: float, y1: float, kind: str = "", both: bool = False) -> str:
    start = ' marker-start="url(#to)"' if both else ""
    return f'<path class="{kind}" d="M{x0:g},{y0:g} {x1:g},{y1:g}" marker-end="url(#to)"{start}/>'


def text(x: float, y: float, words: str) -> str:
    return f'<text class="small" x="{x:g}" y="{y:g}">{words}</text>'


def picture(height: float, title: str, *parts: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" role="img">'
        f"<title>{title}</title><style>{STYLE}</style>{HEAD}{''.join(parts)}</svg>\n"
    )


def spread(n: int, left: float = 0.0, right: float = WIDTH) -> list[float]:
    """n places, evenly between left and right."""
    return [left + (right - left) * (2 * i + 1) / (2 * n) for i in range(n)]


def downpour() -> str:
    shards, replicas = spread(3, 60, WIDTH - 60), spread(4)
    parts = [
        box(x, 10, 130, 46, f"shard {i}", "weights, sums, table") for i, x in enumerate(shards)
    ]
    for i, x in enumerate(replicas):
        parts.append(box(x, 150, 130, 46, f"replica {i}", "gradient of a mini-batch"))
        parts.append(box(x, 230, 110, 28, f"chunk {(5, 2, 7, 1)[i]}", kind="data"))
        parts.append(arrow(x, 230, x, 198))
        parts += [arrow(x, 148, s, 58, both=True) for s in shards]
    parts.append(
        text(WIDTH / 2, 280, "chunks are leased; a push carries (chunk, number) and counts once")
    )
    return picture(
        292, "Downpour SGD: replicas fetch weights from shards and push gradients", *parts
    )


def sandblaster() -> str:
    shards, workers = spread(3, 200, WIDTH - 10), spread(3, 200, WIDTH - 10)
    parts = [box(90, 80, 150, 46, "coordinator", "inner products, steps", "boss")]
    parts += [
        box(x, 10, 130, 46, f"shard {i}", "w, g, s, y of a range") for i, x in enumerate(shards)
    ]
    for i, x in enumerate(workers):
        parts.append(box(x, 150, 130, 46, f"worker {i}", "gradient of a portion"))
        parts += [arrow(x, 148, s, 58, both=True) for s in shards]
        parts.insert(0, arrow(167, 112, x - 67, 170, "thin"))
    parts = [
        arrow(167, 92, x - 67, 40, "thin", both=True) for x in shards
    ] + parts  # behind the boxes
    parts.append(
        box(
            (200 + WIDTH) / 2,
            226,
            420,
            26,
            "portions of all data, far more than workers",
            "",
            "data",
        )
    )
    parts += [arrow(x, 225, x, 198) for x in workers]
    parts.append(text(90, 146, "scalars and commands only"))
    return picture(
        262, "Sandblaster: a coordinator, sharded vectors, workers with portions", *parts
    )


def data_parallel() -> str:
    ranks = spread(4)
    parts = []
    for i, x in enumerate(ranks):
        parts.append(box(x, 14, 130, 46, f"rank {i}", "all weights"))
        parts.append(box(x, 92, 150, 28, f"quarter {i} of a batch", kind="data"))
        parts.append(arrow(x, 92, x, 62))
        if i:
            parts.append(arrow(ranks[i - 1] + 67, 37, x - 67, 37, both=True))
    parts.append(text(WIDTH / 2, 140, "data parallel: sums of gradients and of batch norms travel"))
    for i, x in enumerate(ranks):
        parts.append(box(x, 166, 130, 46, f"rank {i}", f"rows {i}/4 of w"))
        if i:
            parts.append(arrow(ranks[i - 1] + 67, 189, x - 67, 189, both=True))
        parts.append(arrow(x, 244, x, 214))
    parts.append(box(WIDTH / 2, 245, WIDTH - 40, 26, "the whole batch, on every rank", "", "data"))
    parts.append(text(WIDTH / 2, 290, "split layers: activations and their gradients travel"))
    return picture(300, "Ranks with parts of the batch, and ranks with parts of a layer", *parts)


def main() -> None:
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    folder = Path(sys.argv[1])
    drawings = {"downpour": downpour, "sandblaster": sandblaster, "data-parallel": data_parallel}
    for name, draw in drawings.items():
        (folder / f"{name}.svg").write_text(draw(), encoding="utf-8")


if __name__ == "__main__":
    main()
