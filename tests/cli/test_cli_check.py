"""sentei check: tables, pictures, exit codes, one sentence for every mistake."""

from __future__ import annotations

import re

import pytest

from command import sentei
from sentei.ops import RELU


def test_gradients(trained, digits):
    result = sentei("check", "gradients", trained / "model.safetensors")
    assert result.code == 0, result.err
    assert "conv1.weight" in result.out and "gradients agree" in result.out
    found = sentei("check", "gradients", trained / "model.safetensors", "--json").json()
    assert found["ok"] and {r["verdict"] for r in found["rows"]} <= {"ok", "zero", "too small"}


def test_a_wrong_gradient_gives_exit_code_1(digits):
    right = RELU.backward
    object.__setattr__(RELU, "backward", lambda ctx, node, dy: dy)
    try:
        result = sentei("check", "gradients", "lenet5_prune", "--data", digits)
    finally:
        object.__setattr__(RELU, "backward", right)
    assert result.code == 1 and " gradients are wrong" in result.out
    assert re.search(r"conv1.weight .* wrong", result.out)
    assert re.search(r"fc2.weight .* ok", result.out)


def test_overfit(digits):
    words = ["check", "overfit", "lenet5_prune", "--data", digits, "--samples", 6]
    result = sentei(*words)
    assert result.code == 0 and result.out.startswith("learnt: 6 images"), result
    short = sentei(*words, "--steps", 1)
    assert short.code == 1 and "not learnt" in short.out and "(--steps)" in short.out
    assert not sentei(*words, "--steps", 1, "--json").json()["reached"]


def test_units(trained, tmp_path):
    page = tmp_path / "u.html"
    model = trained / "model.safetensors"
    words = ["check", "units", model, "--layer", "conv2", "--out", page, "--images", 3]
    result = sentei(*words)
    assert result.code == 0 and str(page) in result.out, result.err
    assert page.is_file() and page.with_suffix(".png").is_file()
    found = sentei(*words, "--unit", 5, "--unit", 1, "--json").json()
    assert list(found["units"]) == ["5", "1"] and len(found["units"]["5"]) == 3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["units", "lenet5_prune", "--layer", "conv9"], "did you mean 'conv2'?"),
        (["units", "lenet5_prune", "--layer", "conv1", "--part", "all"], "part must be train, val"),
        (["units", "lenet5_prune", "--layer", "conv1", "--out", "x.gif"], "out must end in .html"),
        (["gradients", "lenet5_prun"], "did you mean 'lenet5_prune'?"),
        (["gradients", "none.safetensors"], "there must be a file 'none.safetensors', got none"),
        (["overfit", "lenet5_prune", "--samples", "0"], "greater than or equal to 1"),
    ],
)
def test_one_sentence(words, message, digits, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = sentei("check", *words, "--data", digits)
    assert result.code == 2 and message in result.err and result.err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_variance(digits, tmp_path):
    page = tmp_path / "v.html"
    words = ["check", "variance", "lenet5_prune", "--data", digits, "--out", page]
    result = sentei(*words, "--init", "henmi_kato")
    assert result.code == 0 and "within a factor of 10,000" in result.out, result
    assert page.is_file() and page.with_suffix(".svg").is_file()
    far = sentei(*words, "--init", "normal", "--json")
    assert far.code == 1 and far.json()["verdict"].startswith("the signal grows")


def test_responses(trained, tmp_path):
    page = tmp_path / "r.html"
    words = ["check", "responses", trained / "model.safetensors", "--out", page, "--samples", 60]
    result = sentei(*words, "--layer", "fc1")
    assert result.code == 0 and page.is_file(), result.err
    assert "mean |response|" in result.out
    found = sentei(*words, "--json").json()
    assert len(found["criterion"]["test"]) == len(found["classes"])
    assert found["criterion"]["train"] != found["criterion"]["test"]  # other images
    wrong = sentei(*words, "--layer", "fc9")
    assert wrong.code == 2 and "check: layer" in wrong.err
