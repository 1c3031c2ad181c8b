"""The HTML report: one self-contained page, no script, nothing fetched."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from . import formats as f
from .analysis import analysis_section
from .charts import accuracy_chart, learning_charts, score_chart
from .family import family_section, undone_section
from .quality import confusion_section, observed_section
from .schema import clean, entries, number, table, text
from .style import CSS
from .svg import escape, tag
from .tables import layers_section, section, skipped_section, steps_table
from .verdict import Figure, Verdict, change, figures, judge, was_pruned

__all__ = ["facts", "render_html", "title_of"]

_ICONS = {
    "good": "M5.2 9.4l2.6 2.6 5-5.6",
    "plain": "M5.2 9.4l2.6 2.6 5-5.6",
    "warn": "M9 5v4.6M9 12.6v.4",
    "bad": "M6 6l6 6M12 6l-6 6",
}


def title_of(report: Mapping[str, object]) -> str:
    """Return the title of a report, made from network and data set where it has none."""
    named = " on ".join(part for part in (text(report, "network"), text(report, "dataset")) if part)
    return text(report, "title") or named or "A run of sentei"


def _moment(created: str) -> str:
    try:
        return f"{datetime.fromisoformat(created):%Y-%m-%d %H:%M %Z}".strip()
    except ValueError:
        return created


def _figure(svg: str, heading: str = "") -> str:
    return tag("figure", tag("h3", escape(heading)) if heading else "", svg)


def _header(report: Mapping[str, object], verdict: Verdict) -> str:
    parts = [tag("h1", escape(title_of(report)))]
    named = f"{text(report, 'network')} on {text(report, 'dataset')}"
    if text(report, "title") and named not in text(report, "title"):
        parts.append(tag("span", escape(named.removeprefix(" on ").removesuffix(" on "))))
    command = text(report, "command")
    parts.append(tag("span", escape(f"sentei {command}".strip())))
    parts.append(tag("span", escape(_moment(text(report, "created")))))
    icon = tag(
        "svg",
        tag("circle", cx=9, cy=9, r=8, fill="none", stroke="currentColor", stroke_width=1.5),
        tag("path", d=_ICONS[verdict.tone], fill="none", stroke="currentColor", stroke_width=1.7,
            stroke_linecap="round", stroke_linejoin="round"),
        viewBox="0 0 18 18", aria_hidden="true",
    )  # fmt: skip
    sentence = "".join(
        escape(c.text) if c.tone == "plain" else tag("span", escape(c.text), class_=f"t-{c.tone}")
        for c in verdict.clauses
    )
    return tag(
        "header",
        tag("div", *(p for p in parts if not p.endswith("<span></span>")), class_="kicker"),
        tag(
            "div",
            tag("div", icon, escape(verdict.words), class_=f"badge t-{verdict.tone}"),
            tag("p", sentence, class_="headline"),
            class_="verdict long" if len(verdict.sentence) > 150 else "verdict",
        ),
    )


def _card(figure: Figure) -> str:
    now = figure.before if figure.after is None else figure.after
    body = [tag("h3", escape(figure.label)), tag("div", escape(now), class_="now")]
    if figure.after is not None:
        body.append(tag("div", escape(f"from {figure.before}"), class_="was"))
    left = figure.remaining
    if left is not None:
        bar = tag("i", style=f"width:{100 * min(1.0, max(0.0, left)):.1f}%")
        body.append(tag("div", bar, class_=f"meter t-{figure.tone}", aria_hidden="true"))
    if figure.gain:
        body.append(tag("div", escape(figure.gain), class_=f"gain t-{figure.tone}"))
    if left is not None:
        body.append(tag("div", escape(figure.share), class_="more"))
    if figure.note:
        body.append(tag("div", escape(figure.note), class_="more"))
    return tag("div", *body, class_="card")


def _cards(report: Mapping[str, object]) -> str:
    cards = "".join(_card(figure) for figure in figures(report))
    macs, flops = change(report, "macs"), change(report, "flops")
    wrong = [
        side
        for side, m, n in zip(("before", "after"), macs, flops, strict=True)
        if m is not None and n is not None and n != 2 * m
    ]
    warning = ""
    if wrong:
        said = f"FLOPs {' and '.join(wrong)} are not 2 \u00d7 MACs as reported; trust neither."
        warning = tag("p", escape(said), class_="gain t-bad")
    return tag("div", cards, class_="cards") + warning if cards else ""


def _pruning(report: Mapping[str, object]) -> str:
    chart, scores = accuracy_chart(report), score_chart(report)
    columns = ""
    if chart:
        intro = "The network shrinks from left to right."
        columns += section("Accuracy while pruning", intro, _figure(chart), steps_table(report))
    elif entries(report, "steps"):
        columns += section("Steps of pruning", "", steps_table(report))
    if scores:
        intro = "One stroke per channel, darker where they crowd; the ring is the median."
        if said := text(table(report, "trust"), "sentence"):
            intro += f" {said[:1].upper()}{said[1:]}."
        columns += section("Scores", intro, _figure(scores))
    return tag("div", columns, class_="columns") if columns else ""


def _learning(report: Mapping[str, object]) -> str:
    charts = learning_charts(report)
    if not charts:
        return ""
    drawn = "".join(_figure(svg, heading) for heading, svg in charts)
    said = text(table(report, "cluster"), "sentence")
    intro = f"{said[:1].upper()}{said[1:]}." if said else ""
    return section("Learning curves", intro, tag("div", drawn, class_="columns"))


def _gates(report: Mapping[str, object]) -> str:
    """What auxiliary variables came to, in words."""
    gates = table(report, "gates")
    shut, filters = text(gates, "shut"), text(gates, "filters")
    if not shut or not filters:
        return ""
    words = f"{text(gates, 'method')}: training closed {shut} of {filters} filters"
    if number(gates, "forced"):
        words += f", {text(gates, 'forced')} more went for the target"
    if number(gates, "opened"):
        words += f", {text(gates, 'opened')} closed ones stayed as a layer's floor"
    return words


def facts(report: Mapping[str, object]) -> list[tuple[str, str]]:
    """List how a run was made: (name, value) in the order shown, unknown ones left out."""
    target, criterion = table(report, "target"), table(report, "criterion")
    score = text(criterion, "name")
    if score and text(criterion, "normalize"):
        score += f", {text(criterion, 'normalize')} normalisation"
    asked = text(target, "text")
    if asked and number(target, "remaining") is not None:
        asked += f" ({f.percent(number(target, 'remaining'))} remaining)"
    if asked and isinstance(target.get("reached"), bool):
        asked += ", reached" if target["reached"] else ", missed"
    machine = table(report, "machine")
    threads = text(machine, "threads")
    threads += " thread" if threads == "1" else " threads" if threads else ""
    gpu = "" if text(machine, "device") == "cpu" else text(machine, "device")
    parts = (gpu, text(machine, "cpu"), text(machine, "isa"), threads)
    computer = ", ".join(p for p in parts if p)
    versions = table(report, "versions")
    check = ""
    if table(report, "verify"):
        diff = f.general(number(report, "verify", "max_abs_diff"))
        allowed = f.general(number(report, "verify", "tolerance"))
        check = f"largest difference masked \u2212 pruned {diff}, allowed {allowed}"
    found = [
        ("Command", text(report, "command_line") or f"sentei {text(report, 'command')}".strip()),
        ("Network", text(report, "network")),
        ("Data", text(report, "dataset")),
        ("Seed", text(report, "seed")),
        ("Criterion", score),
        ("Gates", _gates(report)),
        ("Target", asked),
        ("Check", check),
        ("Machine", computer),
        ("Versions", ", ".join(f"{k} {text(versions, k)}" for k in versions)),
        ("Made", text(report, "created")),
    ]
    return [(name, value) for name, value in found if value]


def _time(report: Mapping[str, object]) -> str:
    seconds = table(report, "seconds")
    parts = [(key, number(seconds, key)) for key in ("train", "prune", "verify", "bench")]
    spent = [(key, value) for key, value in parts if value is not None and value > 0]
    total = number(seconds, "total") or sum(value for _, value in spent)
    if not spent:
        return ""
    bar = "".join(
        tag("i", style=f"flex:{value / max(v for _, v in spent):.4f}") for _, value in spent
    )
    words = ", ".join(f"{key} {f.duration(value)}" for key, value in spent)
    cost = f.loop(report)
    cost = f" {cost}." if cost else ""
    said = tag("p", escape(f"{f.duration(total)} in all: {words}.{cost}"), class_="more")
    return tag("div", bar, class_="parts", aria_hidden="true") + said


def _made(report: Mapping[str, object]) -> str:
    rows = "".join(
        tag(
            "div",
            tag("dt", escape(k)),
            tag("dd", tag("code", escape(v)) if k == "Command" else escape(v)),
        )
        for k, v in facts(report)
    )
    config: Any = report.get("config")
    shown = config if isinstance(config, str) else json.dumps(config, indent=2) if config else ""
    more = ""
    if shown:
        more = tag("details", tag("summary", "Configuration"), tag("pre", escape(shown)))
    return section("How it was made", "", _time(report), tag("dl", rows, class_="facts"), more)


def render_html(report: Mapping[str, object]) -> str:
    """Write a report as one HTML page that needs nothing else.

    Args:
        report: the report, as in `schema.Report`; missing parts are left out of the page.

    Returns:
        The page; every value handed in is escaped.

    Raises:
        DataError: something in the report has no JSON form.
    """
    data: dict[str, Any] = clean(report)
    verdict = judge(data)
    body = [
        _header(data, verdict),
        _cards(data),
        family_section(data),
        layers_section(data),
        _pruning(data),
        undone_section(data),
        analysis_section(data),
        confusion_section(data),
        observed_section(data),
        _learning(data),
        skipped_section(data) if was_pruned(data) else "",
        _made(data),
        tag(
            "footer",
            "One MAC is a multiply and an add, so FLOPs = 2 \u00d7 MACs; both count "
            "convolutions and fully connected layers only. Latency is the median of repeated runs "
            "on the machine named above.",
        ),
    ]
    page_title = escape(f"{title_of(data)}: {verdict.words}")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{page_title}</title><style>{CSS}</style></head>\n"
        f"<body>{tag('main', *body)}</body></html>\n"
    )
