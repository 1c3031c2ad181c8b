"""Plots of the performance page as SVG text: the same records give the same bytes.

Colours follow the reader's light or dark scheme; nothing is drawn behind, so the page shows through.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH = 720
STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#3d4650}.h{font-weight:600}.m{fill:#6b7681}"
    "line{stroke:#c3cad1}.one{stroke:#3d4650;stroke-dasharray:4 3}polyline{fill:none;stroke-width:2}"
    "@media(prefers-color-scheme:dark){text{fill:#d5dbe1}.m{fill:#9aa5b0}line{stroke:#3e4852}"
    ".one{stroke:#d5dbe1}}"
)
COLOURS = (
    "#2f81c7",
    "#d9822b",
    "#3aa06f",
    "#b45bc4",
    "#d1495b",
    "#8a8f98",
)  # read on white and black
MARKS = ("circle", "square", "diamond", "up", "down", "circle")


@dataclass(frozen=True)
class Bars:
    """One group of bars: a label and (series, value)."""

    label: str
    values: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Line:
    """One series of (x, y), both above 0."""

    name: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Spread:
    """One series of (x, mean, deviation)."""

    name: str
    points: tuple[tuple[float, float, float], ...]


def _number(v: float) -> str:
    return f"{v:.1f}".rstrip("0").rstrip(".")


def _text(x: float, y: float, text: str, anchor: str = "start", kind: str = "") -> str:
    kind = f' class="{kind}"' if kind else ""
    return f'<text x="{_number(x)}" y="{_number(y)}" text-anchor="{anchor}"{kind}>{escape(text)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, kind: str = "") -> str:
    kind = f' class="{kind}"' if kind else ""
    ends = zip(("x1", "y1", "x2", "y2"), (x1, y1, x2, y2), strict=True)
    return "<line " + " ".join(f'{k}="{_number(v)}"' for k, v in ends) + f"{kind}/>"


def _svg(title: str, height: float, parts: Sequence[str]) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {_number(height)}" '
        f'width="{WIDTH}" height="{_number(height)}" role="img" aria-label="{escape(title)}">'
    )
    lines = [head, f"<title>{escape(title)}</title>", f"<style>{STYLE}</style>", *parts, "</svg>"]
    return "\n".join(lines) + "\n"


def _mark(kind: str, x: float, y: float, colour: str) -> str:
    if kind == "circle":
        return f'<circle cx="{_number(x)}" cy="{_number(y)}" r="4" fill="{colour}"/>'
    shapes = {
        "square": ((-4, -4), (4, -4), (4, 4), (-4, 4)),
        "diamond": ((0, -5), (5, 0), (0, 5), (-5, 0)),
        "up": ((-5, 4), (0, -5), (5, 4)),
        "down": ((-5, -4), (0, 5), (5, -4)),
    }
    at = " ".join(f"{_number(x + dx)},{_number(y + dy)}" for dx, dy in shapes[kind])
    return f'<polygon points="{at}" fill="{colour}"/>'


def _legend(names: Sequence[str], y: float, marks: bool) -> tuple[list[str], float]:
    """Names in a row or more, and where what follows may begin."""
    parts, x = [], 12.0
    for i, name in enumerate(names):
        need = 34 + 7 * len(name)
        if x + need > WIDTH:
            x, y = 12.0, y + 18
        colour = COLOURS[i % len(COLOURS)]
        kind = MARKS[i % len(MARKS)] if marks else "square"
        parts += [_mark(kind, x + 5, y - 4, colour), _text(x + 16, y, name)]
        x += need
    return parts, y + 14


def bars(title: str, unit: str, groups: Sequence[Bars]) -> str:
    """Horizontal bars from 0, with a line at 1."""
    names = list(dict.fromkeys(name for g in groups for name, _ in g.values))
    most = max((v for g in groups for _, v in g.values), default=1.0)
    left, right, thick = 190.0, WIDTH - 60.0, 12.0
    scale = (right - left) / max(most, 1.0)
    parts = [_text(12, 20, title, kind="h"), _text(WIDTH - 12, 20, unit, "end", "m")]
    drawn, y = _legend(names, 42, marks=False)
    parts += drawn
    top = y
    for g in groups:
        y += 8
        middle = y + thick * len(g.values) / 2 + 4
        parts.append(_text(left - 8, middle, g.label, "end"))
        for name, v in g.values:
            colour = COLOURS[names.index(name) % len(COLOURS)]
            size = f'width="{_number(v * scale)}" height="{_number(thick - 2)}"'
            parts.append(f'<rect x="{_number(left)}" y="{_number(y)}" {size} fill="{colour}"/>')
            parts.append(_text(left + v * scale + 5, y + 10, f"{v:.2f}", kind="m"))
            y += thick
    parts.append(_line(left + scale, top, left + scale, y + 6, "one"))
    return _svg(title, y + 14, parts)


def _decades(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten inside, at least two of them."""
    powers = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 2)
    steps = [m * 10.0**p for p in powers for m in (1, 2, 5)]
    inside = [s for s in steps if low * 0.999 <= s <= high * 1.001]
    return inside if len(inside) > 1 else [low, high]


def lines(title: str, x_name: str, y_name: str, series: Sequence[Line]) -> str:
    """Lines with a mark at each point, both axes logarithmic; the points' x are the ticks."""
    xs = sorted({x for s in series for x, _ in s.points})
    ys = [y for s in series for _, y in s.points]
    low, high = min(ys) * 0.8, max(ys) * 1.25
    parts = [_text(12, 20, title, kind="h")]
    drawn, top = _legend([s.name for s in series], 42, marks=True)
    parts += [*drawn, _text(12, top + 8, y_name, kind="m")]
    left, right, top, bottom = 64.0, WIDTH - 24.0, top + 18, top + 298
    wide = math.log(xs[-1] / xs[0]) or 1.0
    tall = math.log(high / low)

    def at(x: float, y: float) -> tuple[float, float]:
        across = math.log(x / xs[0]) / wide
        return left + across * (right - left), bottom - math.log(y / low) / tall * (bottom - top)

    for tick in _decades(low, high):
        y = at(xs[0], tick)[1]
        parts += [_line(left, y, right, y), _text(left - 8, y + 4, f"{tick:g}", "end", "m")]
    for x in xs:
        parts.append(_text(at(x, low)[0], bottom + 18, f"{x:g}", "middle", "m"))
    parts.append(_text((left + right) / 2, bottom + 38, x_name, "middle"))
    for i, s in enumerate(series):
        colour = COLOURS[i % len(COLOURS)]
        places = [at(x, y) for x, y in s.points]
        path = " ".join(f"{_number(x)},{_number(y)}" for x, y in places)
        parts.append(f'<polyline points="{path}" stroke="{colour}"/>')
        parts += [_mark(MARKS[i % len(MARKS)], x, y, colour) for x, y in places]
    return _svg(title, bottom + 48, parts)


def spreads(title: str, x_name: str, y_name: str, series: Sequence[Spread]) -> str:
    """Means with bars of one deviation either way, linear axes in percent."""
    xs = [x for s in series for x, _, _ in s.points]
    low = min(y - d for s in series for _, y, d in s.points)
    high = max(y + d for s in series for _, y, d in s.points)
    step = next(k for k in (0.01, 0.02, 0.05, 0.1, 0.2) if (high - low) / k < 8)
    low, high = math.floor(low / step) * step, math.ceil(high / step) * step
    left_x, right_x = min(xs) - 0.03, max(xs) + 0.03
    parts = [_text(12, 20, title, kind="h")]
    drawn, top = _legend([s.name for s in series], 42, marks=True)
    parts += [*drawn, _text(12, top + 8, y_name, kind="m")]
    left, right, top, bottom = 64.0, WIDTH - 24.0, top + 18, top + 298

    def at(x: float, y: float) -> tuple[float, float]:
        across, up = (x - left_x) / (right_x - left_x), (y - low) / (high - low)
        return left + across * (right - left), bottom - up * (bottom - top)

    for k in range(round((high - low) / step) + 1):
        y = at(left_x, low + k * step)[1]
        parts += [_line(left, y, right, y)]
        parts += [_text(left - 8, y + 4, f"{low + k * step:.0%}", "end", "m")]
    for k in range(math.ceil(left_x * 10), math.floor(right_x * 10) + 1):
        parts.append(_text(at(k / 10, low)[0], bottom + 18, f"{k * 10} %", "middle", "m"))
    parts.append(_text((left + right) / 2, bottom + 38, x_name, "middle"))
    for i, s in enumerate(series):
        colour = COLOURS[i % len(COLOURS)]
        path = " ".join(",".join(map(_number, at(x, y))) for x, y, _ in s.points)
        parts.append(f'<polyline points="{path}" stroke="{colour}"/>')
        for x, y, d in s.points:
            (px, py), (_, up), (_, down) = at(x, y), at(x, y + d), at(x, y - d)
            parts.append(f'<polyline points="{_number(px)},{_number(up)} {_number(px)},{_number(down)}" '
                         f'stroke="{colour}" stroke-opacity=".5"/>')  # fmt: skip
            parts.append(_mark(MARKS[i % len(MARKS)], px, py, colour))
    return _svg(title, bottom + 48, parts)
