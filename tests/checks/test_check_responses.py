"""Responses, criterion and projections against the formulas; variances as a page and a picture."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np
import pytest

from helpers import cases, vectors
from sentei.errors import DataError, GraphError
from sentei.init import ProbeRow, probe
from sentei.nn import models
from sentei.report.responses import responses_sections
from sentei.workflow.check import (
    check_responses,
    criterion,
    variance_verdict,
    write_responses,
    write_variance,
)
from toys import toy_data, toy_net

D = vectors("discriminant")


@pytest.mark.parametrize("case", [c for c in cases("discriminant") if f"{c}.W" in D])
def test_criterion_is_one_minus_the_ratio(case):
    got = criterion(D[f"{case}.y"], D[f"{case}.labels"])
    assert np.allclose(got, 1 - D[f"{case}.ratio"], rtol=1e-5, atol=1e-5)


def test_criterion_of_classes_that_stand_apart_and_of_none():
    labels = np.array([0, 0, 1, 1])
    y = np.array([[5, 0, 1], [5, 0, 2], [-5, 0, 1], [-5, 0, 2]], np.float32)
    assert criterion(y, labels).tolist() == [
        1.0,
        0.0,
        0.0,
    ]  # apart; constant; class without samples


def found(layer=None):
    data = toy_data(30)
    parts = [(data.images[a : a + 10], data.labels[a : a + 10]) for a in (0, 10, 20)]
    model = toy_net(dropout=False)
    made = check_responses(model, parts[:2], parts[2:], ["a", "b", "c"], layer=layer)
    return model, data, made


def test_responses_are_means_over_the_test_set():
    model, data, made = found("fc1")
    assert [r["layer"] for r in made.layers] == ["relu1", "relu2", "relu3"]
    from sentei.passes import inference
    from sentei.run import Runner

    g = inference(model.graph)
    for row in made.layers:
        value = g.node(row["layer"]).outputs[0]
        r = Runner(g, model.tensors, 10, (value,))
        r.run(**{model.input: data.images[20:]})
        u = r.fetch(value).astype(np.float64)
        assert row["mean"] == pytest.approx(np.abs(u).mean(), rel=1e-6)
        assert row["zeros"] == pytest.approx((u == 0).mean())
        by = np.abs(u).reshape(-1, u.shape[-1]).mean(0)
        assert np.allclose(row["channels"], by, rtol=1e-6)
    assert [len(s["points"]) for s in made.scatters] == [10, 10]
    y = model.predict(data.images[20:])
    assert made.criterion["test"] == pytest.approx(
        criterion(y, data.labels[20:]).tolist(), abs=1e-5
    )
    for k, h in enumerate(made.histograms):
        assert sum(h["target"]) == pytest.approx(1) and sum(h["rest"]) == pytest.approx(1)
        assert h["edges"][0] == pytest.approx(y[:, k].min(), rel=1e-5)


def test_page(tmp_path):
    _, _, made = found()
    page = write_responses(made, tmp_path / "r.html", "responses of <net>")
    text = page.read_text()
    assert "responses of &lt;net&gt;" in text and "<net>" not in text
    for heading in ("Responses", "Criterion per output", "Logits", "Projections"):
        assert f"<h2>{heading}</h2>" in text
    assert text.count('class="dot') and text.count("<circle") >= 10
    ET.fromstring(
        "<p>" + "".join(responses_sections(made.to_json())).replace("&nbsp;", " ") + "</p>"
    )


def test_refuses():
    with pytest.raises(GraphError, match="check: layer"):
        found("fc9")
    model, data = toy_net(), toy_data(10)
    batch = [(data.images, data.labels)]
    with pytest.raises(DataError, match="at least one sample"):
        check_responses(model, [], batch, ["a"])
    with pytest.raises(DataError, match="images with classes, got targets"):
        check_responses(model, [(data.images, np.zeros((10, 2)))], batch, ["a"])


def test_variance_page_and_picture(tmp_path):
    rng = np.random.default_rng(0)
    model = models.build("lenet5_prune", (16, 16, 1), init="henmi_kato")
    rows = probe(model, rng.standard_normal((20, 16, 16, 1), np.float32), rng.integers(0, 10, 20))
    page, picture = write_variance(rows, tmp_path / "v.html", "variance")
    root = ET.parse(picture).getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    lines = [e for e in root.iter() if "line" in e.get("class", "").split()]
    assert len(lines) >= 2  # forward, backward
    text = page.read_text()
    assert all(f">{r.name}<" in text for r in rows)


def test_variance_verdict():
    rows = [ProbeRow("a", "conv2d", 1.0, 0.5), ProbeRow("b", "linear", 0.9, 1.0)]
    assert variance_verdict(rows).startswith("all variances")
    fading = [rows[0], ProbeRow("b", "linear", 1e-5, 1.0)]
    assert variance_verdict(fading) == "the signal fades: its variance is 1e-05 at b"
    grows = [ProbeRow("a", "conv2d", 1.0, 5e4), rows[1]]
    assert variance_verdict(grows) == "the gradient grows: its variance is 5e+04 at a"
