"""Small helpers that draw SVG: tags, scales, line charts, strips and bars. No report in here."""

import html
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

__all__ = [
    "Chart",
    "Rule",
    "Series",
    "escape",
    "line_chart",
    "paired_bars",
    "strips",
    "tag",
    "ticks",
]

WIDTH = (
    440  # user units: a chart is shown between 0.8 and 1.2 times this wide, so text stays legible
)
_LETTER = 6.1  # width of an average letter at the charts' 11 px
_MOST_POINTS = 600
_LONGEST_NAME = 20


def escape(value: str) -> str:
    """Escape text for element content and for quoted attributes."""
    return html.escape(value, quote=True)


def tag(name: str, *children: str, **attributes: str | float) -> str:
    """Write one element; children are markup already, attribute values are escaped here.

    `class_` stands for class, and `_` inside a name for `-`.
    """
    parts = [name]
    for key, value in attributes.items():
        shown = f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
        parts.append(f'{key.rstrip("_").replace("_", "-")}="{escape(shown)}"')
    return f"<{' '.join(parts)}>{''.join(children)}</{name}>"


def frame(
    ident: str, title: str, desc: str, height: float, *children: str, width: int = WIDTH
) -> str:
    """Wrap children in an svg element with a title and a description for screen readers."""
    head = tag("title", escape(title), id=f"{ident}-t") + tag("desc", escape(desc), id=f"{ident}-d")
    return tag(
        "svg", head, *children, viewBox=f"0 0 {width} {height:g}", role="img",
        aria_labelledby=f"{ident}-t {ident}-d",
    )  # fmt: skip


def ticks(low: float, high: float, wanted: int = 5) -> list[float]:
    """Return round numbers (1, 2, 2.5 or 5 times a power of ten) inside [low, high]."""
    span = high - low
    if not (span > 0 and math.isfinite(span)):
        return [low]
    raw = span / max(1, wanted)
    if raw < 1e-290:
        return [low, high]
    power = 10.0 ** math.floor(math.log10(raw))
    step = next((m * power for m in (1, 2, 2.5, 5) if m * power >= raw * 0.999), 10 * power)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    if not math.isfinite(step) or last - first > 4 * wanted + 4:
        return [low, high]
    return [i * step for i in range(first, last + 1)] or [low, high]


def padded(values: Sequence[float], share: float = 0.06) -> tuple[float, float]:
    """Return a range that holds all values with a margin; never empty."""
    low, high = min(values), max(values)
    span = high - low
    if span <= 1e-9 * max(abs(low), abs(high)) or span < 1e-200:
        span = abs(high) * 0.1 or 1.0
        return low - span / 2, high + span / 2
    return low - share * span, high + share * span


def thin(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Keep at most about `_MOST_POINTS` points: both extremes of every bucket, so spikes stay."""
    if len(points) <= _MOST_POINTS:
        return list(points)
    size = math.ceil(len(points) / (_MOST_POINTS // 2))
    kept: list[tuple[float, float]] = [points[0]]
    for i in range(0, len(points), size):
        bucket = range(i, min(i + size, len(points)))
        ends = {min(bucket, key=lambda j: points[j][1]), max(bucket, key=lambda j: points[j][1])}
        kept += [points[j] for j in sorted(ends)]
    return [*kept, points[-1]]


@dataclass(frozen=True)
class Series:
    """A named line; `kind` is its CSS class (before, after)."""

    name: str
    points: Sequence[tuple[float, float]]
    kind: str
    dots_only: bool = False


@dataclass(frozen=True)
class Rule:
    """A reference line at one x or one y, with a label."""

    value: float
    label: str
    vertical: bool = False


@dataclass(frozen=True)
class Chart:
    """What a line chart shows."""

    ident: str
    title: str
    desc: str
    series: Sequence[Series]
    x_label: str
    x_text: Callable[[float], str]
    y_text: Callable[[float], str]
    x_reversed: bool = False
    x_whole: bool = False
    y_bounds: tuple[float, float] = (-math.inf, math.inf)
    rules: Sequence[Rule] = field(default_factory=tuple)
    height: int = 250


def _legend(series: Sequence[Series], left: float) -> tuple[str, float]:
    """Names of the series that have one, in as many rows as they need, and the height of the rows
    after the first."""
    out, x, y = [], left, 10.0
    for s in (s for s in series if s.name):
        length = 22 + len(s.name) * _LETTER
        if x > left and x + length > WIDTH:
            x, y = left, y + 17
        if s.dots_only:
            out.append(tag("circle", cx=x + 8, cy=y, r=2.5, class_=f"dot {s.kind}"))
        else:
            out.append(tag("path", d=f"M{x:.1f} {y:g}h16", class_=f"line {s.kind}"))
        out.append(tag("text", escape(s.name), x=x + 22, y=y + 4, class_="label"))
        x += length + 20
    return "".join(out), y - 10


def _curve(points: Sequence[tuple[float, float]], series: Series) -> str:
    if series.dots_only or len(points) == 1:
        size = 2.0 if len(points) > 60 else 2.6
        dots = (tag("circle", cx=x, cy=y, r=size, class_=f"dot {series.kind}") for x, y in points)
        return "".join(dots)
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    end = tag("circle", cx=points[-1][0], cy=points[-1][1], r=3.2, class_=f"dot {series.kind}")
    return tag("path", d=path, class_=f"line {series.kind}") + end


def line_chart(chart: Chart) -> str:
    """Draw lines over a grid with round ticks; "" when no series has a point."""
    series = [s for s in chart.series if s.points]
    if not series:
        return ""
    xs = [x for s in series for x, _ in s.points] + [r.value for r in chart.rules if r.vertical]
    ys = [y for s in series for _, y in s.points] + [r.value for r in chart.rules if not r.vertical]
    x_low, x_high = padded(xs, 0.0)
    y_low, y_high = padded(ys, 0.08)
    y_low, y_high = max(y_low, chart.y_bounds[0]), min(y_high, chart.y_bounds[1])
    if not y_low < y_high:
        y_low, y_high = padded(ys, 0.08)
    y_ticks = ticks(y_low, y_high, 4)
    y_names = [chart.y_text(t) for t in y_ticks]
    left = 10 + max(len(n) for n in y_names) * 1.2 * _LETTER  # phones show larger letters
    legend, more = _legend(series, left)
    height = chart.height + more
    right, top, bottom = WIDTH - 14.0, 34.0 + more, height - 40.0

    def at_x(x: float) -> float:
        share = (x - x_low) / (x_high - x_low)
        return left + (1 - share if chart.x_reversed else share) * (right - left)

    def at_y(y: float) -> float:
        share = (y - y_low) / (y_high - y_low)
        return bottom - min(1.02, max(-0.02, share)) * (bottom - top)

    out = []
    for t, name in zip(y_ticks, y_names, strict=True):
        out.append(tag("path", d=f"M{left:.1f} {at_y(t):.1f}H{right:.1f}", class_="grid"))
        out.append(
            tag("text", escape(name), x=left - 7, y=at_y(t) + 4, class_="tick", text_anchor="end")
        )
    x_ticks = [t for t in ticks(x_low, x_high, 6) if not chart.x_whole or t == round(t)]
    for t in x_ticks or [x_low]:
        x = at_x(t)
        out.append(tag("path", d=f"M{x:.1f} {bottom:.1f}v4", class_="axis"))
        out.append(
            tag("text", escape(chart.x_text(t)), x=x, y=bottom + 17, class_="tick",
                text_anchor="middle")
        )  # fmt: skip
    out.append(tag("path", d=f"M{left:.1f} {bottom:.1f}H{right:.1f}", class_="axis"))
    out.append(
        tag("text", escape(chart.x_label), x=right, y=bottom + 35, class_="tick", text_anchor="end")
    )
    notes = []
    for rule in chart.rules:
        if rule.vertical:
            x = at_x(rule.value)
            near_end = x > (left + right) / 2
            out.append(tag("path", d=f"M{x:.1f} {top - 4:.1f}V{bottom:.1f}", class_="rule"))
            anchor, place, y = (
                ("end", x - 6, bottom - 8) if near_end else ("start", x + 6, bottom - 8)
            )
        else:
            out.append(
                tag("path", d=f"M{left:.1f} {at_y(rule.value):.1f}H{right:.1f}", class_="rule")
            )
            anchor, place, y = "end", right, at_y(rule.value) - 6
        notes.append(
            tag("text", escape(rule.label), x=place, y=y, class_="note", text_anchor=anchor)
        )
    for s in series:
        out.append(_curve([(at_x(x), at_y(y)) for x, y in thin(s.points)], s))
    out += [*notes, legend]
    return frame(chart.ident, chart.title, chart.desc, height, *out)


def paired_bars(title: str, before: float, after: float | None, largest: float) -> str:
    """Draw two horizontal bars, before over after, on a scale that ends at `largest`.

    The picture is stretched to its table cell, so it holds rectangles only.
    """

    def length(value: float) -> float:
        share = value / largest if largest > 0 else 0.0
        return max(0.6 if value > 0 else 0.0, 100 * min(1.0, max(0.0, share)))

    bars = tag(
        "rect",
        x=0,
        y=0.0 if after is not None else 4.5,
        width=length(before),
        height=7,
        class_="before",
    )
    if after is not None:
        bars += tag("rect", x=0, y=9, width=length(after), height=7, class_="after")
    return tag(
        "svg", tag("title", escape(title)), bars, viewBox="0 0 100 16", role="img",
        preserveAspectRatio="none", class_="bars",
    )  # fmt: skip


def strips(
    ident: str,
    title: str,
    desc: str,
    rows: Sequence[tuple[str, Sequence[float]]],
    x_label: str,
    x_text: Callable[[float], str],
) -> str:
    """Draw one strip per row: a tick per value, darker where values crowd, on one shared axis.

    The axis is logarithmic when all values are positive or 0 and span more than a factor of 30;
    zeros then stand apart at the left. The ring of a row is its median.
    """  # fmt: skip
    values = [v for _, row in rows for v in row]
    if not values:
        return ""
    positive = [v for v in values if v > 0]
    logarithmic = min(values) >= 0 and bool(positive) and max(positive) / 30 > min(positive)
    zeros = logarithmic and min(values) == 0
    longest = max(len(name) for name, _ in rows)
    left = 14 + min(longest, _LONGEST_NAME) * _LETTER + (30 if zeros else 0)
    right, top, step = WIDTH - 14.0, 12.0, 34.0
    bottom = top + step * len(rows)
    if logarithmic:
        low, high = (math.log10(v) for v in (min(positive), max(positive)))
        low, high = padded([low, high], 0.02)
        decades = range(math.ceil(low), math.floor(high) + 1)
        every = max(1, math.ceil(len(decades) / 6))
        marks = [(float(d), 10.0**d) for d in decades if d % every == 0]
    else:
        low, high = padded(values, 0.02)
        marks = [(t, t) for t in ticks(low, high, 5)]

    def at(value: float) -> float:
        if zeros and value <= 0:
            return left - 26
        place = math.log10(value) if logarithmic else value
        return left + (place - low) / (high - low) * (right - left)

    out = []
    for place, value in marks:
        x = left + (place - low) / (high - low) * (right - left)
        out.append(tag("path", d=f"M{x:.1f} {top:.1f}V{bottom:.1f}", class_="grid"))
        out.append(
            tag("text", escape(x_text(value)), x=x, y=bottom + 15, class_="tick",
                text_anchor="middle")
        )  # fmt: skip
    if zeros:
        out.append(
            tag("text", "0", x=left - 26, y=bottom + 15, class_="tick", text_anchor="middle")
        )
    for i, (name, row) in enumerate(rows):
        middle = top + step * (i + 0.5)
        shown = (
            name if len(name) <= _LONGEST_NAME else "\u2026" + name[1 - _LONGEST_NAME :]
        )  # the end tells layers apart
        out.append(
            tag(
                "text",
                tag("title", escape(name)) + escape(shown),
                x=0,
                y=middle + 4,
                class_="label",
            )
        )
        crowd: dict[int, int] = {}
        for v in row:
            place_x = round(at(v))
            crowd[place_x] = crowd.get(place_x, 0) + 1
        for level, (least, most) in enumerate(((1, 1), (2, 4), (5, math.inf)), 1):
            chosen = sorted(x for x, n in crowd.items() if least <= n <= most)
            if chosen:
                path = "".join(f"M{x} {middle - 10:.0f}v20" for x in chosen)
                out.append(tag("path", d=path, class_=f"strip s{level}"))
        if row:
            x = at(sorted(row)[len(row) // 2])
            out.append(tag("circle", cx=x, cy=middle, r=4.0, class_="median"))
    out.append(tag("path", d=f"M{left:.1f} {bottom:.1f}H{right:.1f}", class_="axis"))
    out.append(
        tag("text", escape(x_label), x=right, y=bottom + 33, class_="tick", text_anchor="end")
    )
    return frame(ident, title, desc, bottom + 40, *out)
