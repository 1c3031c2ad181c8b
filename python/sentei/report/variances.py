"""Drawings of a variance probe: signals forward and gradients backward, layer by layer."""

import math
from collections.abc import Mapping, Sequence

from . import formats as f
from .svg import Chart, Rule, Series, escape, line_chart
from .tables import section, table_of

__all__ = ["variance_chart", "variance_section"]

Row = Mapping[str, object]


def _points(rows: Sequence[Row], key: str) -> list[tuple[float, float]]:
    found = []
    for i, row in enumerate(rows, 1):
        v = row.get(key)
        if isinstance(v, int | float) and 0 < v < math.inf:
            found.append((float(i), math.log10(v)))
    return found


def _power(value: float) -> str:
    return f"1e{value:g}" if value == round(value) else f"{10**value:.2g}"


def variance_chart(rows: Sequence[Row], ident: str = "chart-variance") -> str:
    """Draw the variances of `rows` ("signal", "gradient") over the layers on a logarithmic axis."""
    signal, gradient = _points(rows, "signal"), _points(rows, "gradient")
    every = [y for _, y in signal + gradient]
    if not every:
        return ""
    worst = 10 ** max(map(abs, every))
    return line_chart(
        Chart(
            ident,
            "Variance of signals and gradients, layer by layer",
            f"{len(rows)} layers from the input to the output; 1 is where it should stay, "
            f"the furthest from it is a factor of {f.general(worst)} away.",
            [
                Series("signal, forward", signal, "after"),
                Series("gradient, backward", gradient, "before"),
            ],
            "layer",
            f.tick,
            _power,
            x_whole=True,
            rules=[Rule(0.0, "1")],
            height=280,
        )
    )


def variance_section(rows: Sequence[Row]) -> str:
    """Write the chart and the numbers behind it."""

    def shown(row: Row, key: str) -> str:
        v = row.get(key)
        return f.general(float(v)) if isinstance(v, int | float) else ""

    cells = [
        [
            escape(str(row.get("name", ""))),
            escape(str(row.get("op", ""))),
            shown(row, "signal"),
            shown(row, "gradient"),
        ]
        for row in rows
    ]
    head = [("layer", ""), ("op", ""), ("signal", "n"), ("gradient", "n")]
    said = "Gradients in units of the variance of the gradient at the network's output."
    return section(
        "Variances",
        "Of what each layer gives (forward) and of the gradient that reaches its input (backward).",
        f"<figure>{variance_chart(rows)}</figure>",
        table_of("Variances", escape(said), head, cells),
    )
