"""The page is well formed, self-contained, escaped, and says what the report says."""

import html as stdlib_html
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sentei.errors import DataError
from sentei.report import render_html

VOID = {"meta", "br", "hr", "img", "link", "input"}
HOSTILE = (
    "<script>alert('x')</script>\"><img src=http://evil.example/a onerror=x>&amp;\x00\x1b[31m\ud800"
)


class Page(HTMLParser):
    """Parse strictly: tags must balance; keep what tests ask about."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.first_child: list[tuple[str, str]] = []
        self.feed(source)
        self.close()
        assert self.open == [], f"left open: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({k for k, _ in attrs}) == len(attrs), f"an attribute twice in {tag}: {attrs}"
        if self.tags and self.open:
            self.first_child.append((self.open[-1], tag))
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-1:]}"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.words).replace("\xa0", " "))

    def count(self, tag: str) -> int:
        return sum(1 for name, _ in self.tags if name == tag)


def check(source: str) -> Page:
    """Assert what holds for every page, whatever is in it."""
    page = Page(source)
    names = {name for name, _ in page.tags}
    assert not names & {"script", "link", "img", "iframe", "object", "base", "form", "image", "use"}
    for name, attributes in page.tags:
        for key, value in attributes.items():
            assert key not in ("src", "href", "srcset", "action", "xlink:href", "data"), name
            assert not key.startswith("on"), (name, key)
            if name == "path" and key == "d":
                assert re.fullmatch(r"[-MLHVhvl0-9. ]+", value or ""), value
            if key in ("x", "y", "cx", "cy", "r", "width", "height"):
                assert re.fullmatch(r"-?\d+(\.\d+)?", value or ""), (name, key, value)
    assert "url(" not in source and "@import" not in source
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(ids) == len(set(ids)), "an id twice"
    for name, attributes in page.tags:
        for ident in (attributes.get("aria-labelledby") or "").split():
            assert ident in ids, f"{name} is labelled by {ident}, which is nowhere"
    assert page.count("table") == page.count("caption")
    assert "nan" not in re.findall(r"[a-z]+", page.text.lower())
    assert "\xa0inf" not in source and "None" not in page.words
    return page


def test_full_page_holds_every_part(make_report):
    page = check(render_html(make_report()))
    assert (
        "Pruned to 29.9 % of its FLOPs (70.1 % removed): 2.40× faster at batch 100, "
        "accuracy 98.6 % → 98.4 %, verified." in page.text
    )
    headings = [
        "Widths per layer", "Accuracy while pruning", "Scores", "Learning curves", "Not pruned",
        "How it was made",
    ]  # fmt: skip
    places = [page.text.index(heading) for heading in headings]
    assert places == sorted(places)
    for said in (
        "its units are the classes", "32 → 14", "43.8 %", "627 k → 274 k", "sentei demo --seed 1",
        "robust, l1 normalisation", "numpy 2.4.6", "Some CPU, AVX-512, 2 threads",
        "flops=30% (30.0 % remaining), reached", "2026-11-20 22:40 UTC", "1 min 12 s in all",
        "5.24× smaller", "p10 8.70 ms, p90 9.60 ms", '"epochs": 3',
    ):  # fmt: skip
        assert said in page.text, said
    charts = [a for name, a in page.tags if name == "svg" and "aria-labelledby" in a]
    assert len(charts) == 5
    assert page.count("desc") == 5
    assert all(a.get("role") == "img" or "aria-hidden" in a for n, a in page.tags if n == "svg")


def test_flops_are_twice_the_macs_and_never_confused(make_report):
    page = check(render_html(make_report()))
    cards = page.text[: page.text.index("Widths per layer")]
    assert re.search(r"FLOPs7\.36 Mfrom 24\.6 M", cards)
    assert re.search(r"MACs3\.68 Mfrom 12\.3 M", cards)


def test_flops_follow_from_macs_when_missing(make_report):
    page = check(render_html(make_report(flops={})))
    assert re.search(r"FLOPs7\.36 Mfrom 24\.6 M", page.text)


def test_flops_that_are_not_twice_the_macs_are_called_out(make_report):
    macs = make_report()["macs"]
    page = check(render_html(make_report(flops=macs)))
    assert "FLOPs before and after are not 2 × MACs as reported" in page.text
    assert "as reported" not in check(render_html(make_report())).text


def test_training_only_page(training_report):
    page = check(render_html(training_report))
    assert "Trained: accuracy 98.60 %, loss 0.0467, 3 epochs in 26.1 s." in page.text
    assert "lenet5_prune on mnist" in page.text
    assert "Learning curves" in page.text
    for absent in ("removed", "→", "Not pruned", "Remaining", "verified", "after"):
        assert absent not in page.text, absent


def test_an_empty_report_is_still_a_page():
    page = check(render_html({}))
    assert "Trained: accuracy not measured." in page.text


def test_hostile_names_stay_text(make_report):
    dirty = make_report(
        title=HOSTILE, network=HOSTILE, dataset=HOSTILE, command_line=HOSTILE, created=HOSTILE,
        versions={HOSTILE: HOSTILE}, machine={"cpu": HOSTILE, "isa": HOSTILE, "threads": HOSTILE},
        target={"text": HOSTILE, "kind": HOSTILE, "reached": False},
        criterion={"name": HOSTILE, "normalize": HOSTILE}, config=HOSTILE, command=HOSTILE,
        layers=[{"name": HOSTILE, "op": HOSTILE, "before": 3, "after": 2}],
        skipped=[{"layer": HOSTILE, "reason": HOSTILE}],
        scores=[{"layer": HOSTILE, "values": [1.0, 2.0]}],
        steps=[{"step": HOSTILE, "layer": HOSTILE, "channel": HOSTILE, "macs": 9_000_000}],
        latency_ms={"before": {HOSTILE: {"median": 1}}, "after": {HOSTILE: {"median": 2}}},
    )  # fmt: skip
    source = render_html(dirty)
    page = check(source)
    assert page.text.count("<script>alert('x')</script>") > 10
    assert "\x00" not in source and "\x1b" not in source
    source.encode("utf-8")


numbers = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(min_value=-(10**400), max_value=10**400),
    st.floats(allow_nan=True, allow_infinity=True),
    st.sampled_from([0, -0.0, 5e-324, 1e-300, 1.7976931348623157e308, 1e300, 1.0, 0.9999999]),
)
names = st.text("xyz<>&\"'\n\x00\ud800", max_size=6)  # never the letters of nan or inf
change = st.fixed_dictionaries({}, optional={"before": numbers, "after": numbers})
latency = st.dictionaries(
    st.sampled_from(["1", "100", "many"]),
    st.fixed_dictionaries({}, optional={"median": numbers, "p10": numbers, "p90": numbers}),
)
reports = st.fixed_dictionaries(
    {},
    optional={
        "command": st.sampled_from(["demo", "train", "prune", "eval"]),
        "accuracy": change,
        "loss": change,
        "macs": change,
        "flops": change,
        "params": change,
        "file_bytes": change,
        "seed": numbers,
        "verified": st.sampled_from([True, False, None]),
        "latency_ms": st.fixed_dictionaries({"before": latency, "after": latency}),
        "verify": st.fixed_dictionaries({"max_abs_diff": numbers, "tolerance": numbers}),
        "seconds": st.dictionaries(st.sampled_from(["train", "prune", "total"]), numbers),
        "target": st.fixed_dictionaries(
            {"kind": st.sampled_from(["flops", "params", ""]), "remaining": numbers},
            optional={"reached": st.booleans()},
        ),
        "layers": st.lists(
            st.fixed_dictionaries(
                {"name": names, "before": numbers, "after": numbers},
                optional={"macs_before": numbers, "macs_after": numbers},
            ),
            max_size=3,
        ),
        "steps": st.lists(
            st.fixed_dictionaries(
                {"step": numbers, "macs": numbers, "score": numbers},
                optional={"accuracy_before_retrain": numbers, "accuracy_after_retrain": numbers},
            ),
            max_size=4,
        ),
        "scores": st.lists(
            st.fixed_dictionaries({"layer": names, "values": st.lists(numbers, max_size=6)}),
            max_size=3,
        ),
        "training": st.lists(
            st.fixed_dictionaries({"epoch": numbers, "loss": numbers, "val_accuracy": numbers}),
            max_size=4,
        ),
    },
)


@settings(max_examples=150, deadline=None)
@given(reports)
def test_any_numbers_make_a_page(report):
    check(render_html(report))


@pytest.mark.parametrize("wrong", [3, "text", [1], None, [[1]], {"a": [None]}])
@pytest.mark.parametrize(
    "key",
    ["accuracy", "latency_ms", "layers", "steps", "scores", "training", "skipped", "target",
     "machine", "versions", "seconds", "verify", "criterion", "title"],
)  # fmt: skip
def test_a_part_of_the_wrong_kind_is_left_out(make_report, key, wrong):
    check(render_html(make_report(**{key: wrong})))


def test_numpy_values_are_read(make_report):
    plain = render_html(make_report())
    macs = {k: np.int64(v) for k, v in make_report()["macs"].items()}
    scores = [
        {"layer": s["layer"], "values": np.asarray(s["values"])} for s in make_report()["scores"]
    ]
    accuracy = {k: np.float64(v) for k, v in make_report()["accuracy"].items()}
    assert render_html(make_report(macs=macs, scores=scores, accuracy=accuracy)) == plain


def test_what_has_no_json_form_is_refused(make_report):
    with pytest.raises(DataError, match=r"report\.seed must be a plain value .* got set"):
        render_html(make_report(seed={1}))
    loop: list[object] = []
    loop.append(loop)
    with pytest.raises(DataError, match="must nest at most 32 deep"):
        render_html(make_report(config={"loop": loop}))


def test_many_steps_stay_a_page_of_bearable_size(make_report):
    steps = [
        {"step": i, "macs": 12_000_000 - i, "accuracy_after_retrain": 0.9 + (i == 4000) * 0.05}
        for i in range(9000)
    ]
    values = list(np.random.default_rng(1).lognormal(size=4000))
    source = render_html(make_report(steps=steps, scores=[{"layer": "a", "values": values}]))
    page = check(source)
    assert "The first 400 of 9000 steps; report.json holds all." in page.text
    assert len(source) < 400_000
    lines = [a["d"] for n, a in page.tags if n == "path" and a.get("class") == "line after"]
    heights = [float(y) for y in re.findall(r"[ML][\d.]+ ([\d.]+)", lines[0] or "")]
    assert min(heights) < sorted(heights)[3] - 50  # the lone spike survives the thinning


def test_rendering_is_repeatable(make_report):
    assert render_html(make_report()) == render_html(make_report())


def test_parser_of_these_tests_sees_unbalanced_tags():
    with pytest.raises(AssertionError, match="closes"):
        Page("<p><b></p></b>")
    assert stdlib_html.unescape("&lt;") == "<"
