"""The bench against Torch-Pruning: page = records, and every part of it runs."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

import sentei
from extras import need
from sentei.nn import models

ROOT = Path(__file__).resolve().parents[1]
FIELD = ROOT / "bench" / "field"


@pytest.fixture
def script(monkeypatch):
    """Import a file of bench/field."""
    monkeypatch.setattr(sys, "path", [str(FIELD), str(ROOT / "bench"), *sys.path])
    before = set(sys.modules)

    def get(name):
        spec = importlib.util.spec_from_file_location(name, FIELD / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, name, module)
        spec.loader.exec_module(module)
        return module

    yield get
    for name in set(sys.modules) - before:
        if getattr(sys.modules[name], "__file__", None) and str(ROOT / "bench") in str(
            sys.modules[name].__file__
        ):
            del sys.modules[name]


def test_page_equals_the_records(script):
    field = script("field_page")
    text = field.PAGE.read_text()
    assert field.page(text) == text, "run python bench/field/field_page.py --write"
    svg = field.made()[1]
    assert field.PLOT.is_file() == bool(svg)
    if svg:
        assert field.PLOT.read_text() == svg, "run python bench/field/field_page.py --write"
        ElementTree.fromstring(svg)


def test_nothing_failed_unsaid(script):
    """A run that failed is in the page, or the page has none."""
    field = script("field_page")
    rows = script("field_tables").current(field.read("field"), field.SCALE)
    bad = [r for r in rows if r["what"] == "failed"]
    assert field.PAGE.read_text().count("(failed ") >= bool(bad)
    arms = [r for r in rows if r["what"] == "arm"]
    for r in arms:  # a network above its target would be no pruning to it
        assert r["share"] <= r["target"] or "tool_steps" in r["notes"]
    both = [r["notes"]["accuracy_of_1000"] for r in arms if r["tool"] == "torch_pruning"]
    assert all(abs(b["torch"] - b["sentei"]) <= 0.002 for b in both)


def test_plan(script):
    """All steps are spent, the last share is the target, and shares fall evenly."""
    common, scale = script("common"), script("scale")
    s = scale.Scale("resnet20", steps=150, rounds=5)
    assert common.plan(s, "once", 0.3) == [(0.3, 150)]
    rounds = common.plan(s, "rounds", 0.5)
    assert [round(x, 9) for x, _ in rounds] == [0.9, 0.8, 0.7, 0.6, 0.5]
    assert [n for _, n in rounds] == [15, 15, 15, 15, 90]


def test_only_the_newest_settings_count(script):
    tables = script("field_tables")

    def row(seed, steps, accuracy):
        case = {"scale": "small", "network": "resnet20", "seed": seed, "tool": "sentei"}
        case |= {"criterion": "robust", "schedule": "once", "target": 0.5, "what": "arm"}
        return {**case, "settings": {"steps": steps}, "accuracy": accuracy}

    lines = [row(0, 9, 0.1), row(0, 5, 0.2), row(1, 5, 0.3), row(0, 5, 0.4)]
    assert [r["accuracy"] for r in tables.current(lines, "small")] == [0.4, 0.3]
    assert tables.current(lines, "full") == []
    assert tables.spread([0.5, 0.52], tables.points) == "51.00 ± 1.41"


@pytest.mark.parametrize("name", ["resnet20", "resnet18_like", "vgg13_like"])
def test_the_same_network_in_pytorch(script, name, rng):
    """Weights there and back, whole and with channels taken out."""
    torch = need("torch")
    from sentei.prune import pruning_map, remove

    weights, peers = script("weights"), __import__("peers.torch_models").torch_models
    whole = models.build(name, (32, 32, 3), seed=1)
    for k, t in whole.tensors.items():
        if k.endswith(("gamma", "beta", "running_var")):
            t.copy_from(rng.uniform(0.5, 1.5, t.shape).astype(np.float32))
    pruning = pruning_map(whole.graph)
    cut = remove(whole, pruning, pruning.units[1::5])[0]
    x = rng.standard_normal((3, 32, 32, 3), dtype=np.float32)
    for model in (whole, cut):
        net = weights.to_torch(model, getattr(peers, name)()).eval()
        want = model.predict(x)
        with torch.no_grad():
            got = net(torch.from_numpy(x.transpose(0, 3, 1, 2).copy())).numpy()
        np.testing.assert_allclose(got, want, atol=1e-5 * np.abs(want).max())
        again = weights.to_sentei(net, whole.graph)
        assert again.costs() == model.costs()
        assert np.array_equal(again.predict(x), want)
    with pytest.raises(ValueError, match="networks must have the same layers"):
        weights.to_torch(whole, peers.lenet5_prune())


def test_counts_of_both_sides_agree(script):
    need("torch_pruning")
    torch = need("torch")
    peer = script("arm_torch_pruning")
    for name in ("resnet56", "vgg13_like"):
        net = getattr(peer.torch_models, name)().eval()
        macs = peer.Counter(net, torch.zeros(1, 3, 32, 32)).macs()
        assert macs == models.build(name, (32, 32, 3)).costs().macs


def run(file, *arguments):
    command = [sys.executable, str(FIELD / file), *map(str, arguments)]
    path = os.pathsep.join(
        [str(Path(sentei.__file__).resolve().parents[1]), os.environ.get("PYTHONPATH", "")]
    )
    env = {**os.environ, "PYTHONPATH": path}
    ran = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    assert ran.returncode == 0, ran.stderr
    return ran


@pytest.mark.slow
def test_smoke(script, tmp_path, rng):
    """Two arms on random images, recorded; a second call has nothing left to do."""
    need("torch_pruning")
    images = {
        f"{k}_images": rng.integers(0, 256, (100, 32, 32, 3), np.uint8) for k in ("train", "test")
    }
    labels = {f"{k}_labels": rng.integers(0, 10, 100) for k in ("train", "test")}
    np.savez(tmp_path / "cifar10-100-100.npz", **images, **labels)
    common = ["--scale", "tiny", "--network", "resnet20", "--data", tmp_path, "--work", tmp_path]
    wanted = [
        "--schedule",
        "rounds",
        "--arm",
        "torch_pruning:taylor",
        "sentei:robust",
        "--seeds",
        "1",
    ]
    run("bench_field.py", *common, *wanted, "--record", tmp_path)
    path = tmp_path / "field.jsonl"
    rows = [json.loads(x) for x in path.read_text().splitlines()]
    assert [r["what"] for r in rows] == ["start", "arm", "arm"], rows
    start, peer, ours = rows
    assert start["relative_difference"] < 1e-5
    for r in (peer, ours):
        assert r["share"] <= 0.8 and r["peak_bytes"] > r["peak_above_start"] > 0
        assert set(r["wall"]) == {"prune", "retrain"}
    assert 0.7 < peer["notes"]["own_count"]["ops"] / peer["macs"] < 1.1
    run("bench_field.py", *common, *wanted, "--record", tmp_path)
    assert len(path.read_text().splitlines()) == 3
    tables = script("field_tables")
    ms = {"start:0": {"median": 4.0}, "torch_pruning:taylor:0": {"median": 2.0}}
    late = {"network": "resnet20", "target": 0.8, "schedule": "rounds", "milliseconds": {"1": ms}}
    rows[1]["alone"] = True
    text = tables.tables(tables.current(rows, "tiny"), [{**late, "onnxruntime": "1"}])
    assert "| 80% | cut and retrained in turns | Torch-Pruning `taylor` |" in text
    assert "| 2.00 (2.00x) | - |" in text
