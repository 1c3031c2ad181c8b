"""sentei import: what it says, what it writes, and when it does not."""

from __future__ import annotations

import json

import numpy as np
import pytest

from command import sentei
from extras import need
from helpers import DATA
from sentei.io import load

need("onnx")
FILE = DATA / "onnx" / "mobilenet_v2.onnx"


@pytest.fixture
def runtime():
    return need("onnxruntime")


def test_says_what_it_found(tmp_path, runtime):
    out = tmp_path / "m.safetensors"
    result = sentei("import", str(FILE), "--out", str(out), "--scaling", "imagenet")
    assert result.code == 0
    for part in (
        "operators  ", "Clip", "Conv", "parameters", "MACs a sample", "channels prunable",
        "left alone: depthwise", "largest difference", str(out), "next ",
    ):  # fmt: skip
        assert part in result.out
    model = load(out)
    assert model.meta["data"]["standardize"]["mean"] == [0.485, 0.456, 0.406]
    assert model.predict(np.zeros((2, 17, 17, 3), np.float32)).shape == (2, 10)


def test_json(tmp_path, runtime):
    result = sentei("import", str(FILE), "--out", str(tmp_path / "m.safetensors"), "--json")
    found = json.loads(result.out)
    assert found["ok"] and found["difference"]["relative"] < 1e-5
    assert found["operators"]["Clip"] == 8 and found["params"] > found["smallest"]["params"]


def test_dry_run_and_no_check_write_and_prove_nothing(tmp_path):
    out = tmp_path / "m.safetensors"
    result = sentei("import", str(FILE), "--out", str(out), "--dry-run", "--no-check")
    assert result.code == 0 and not out.exists()
    assert "not compared with ONNX Runtime, as asked" in result.out
    assert "nothing was written" in result.out


def test_replaces_only_when_told(tmp_path):
    out = tmp_path / "m.safetensors"
    out.write_bytes(b"mine")
    words = ["import", str(FILE), "--out", str(out), "--no-check", "--quiet"]
    result = sentei(*words)
    assert result.code == 2 and "import: out must be a new file" in result.err
    assert out.read_bytes() == b"mine"
    assert sentei(*words, "--force").code == 0
    assert load(out).input_shape == (17, 17, 3)


def test_a_difference_is_not_written(tmp_path, runtime, monkeypatch):
    from sentei.io.onnx_in import verify

    monkeypatch.setattr(verify, "RELATIVE_TOLERANCE", 0.0)
    out = tmp_path / "m.safetensors"
    result = sentei("import", str(FILE), "--out", str(out))
    assert result.code == 1 and not out.exists()
    assert "import: the network must say what ONNX Runtime says" in result.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--scaling", "bright"], "scaling must be imagenet, unit, signed or means"),
        (["--scaling", "0.5/0.2"], "scaling must be for the 3 channels of the input, got 1"),
        (["--scaling", "0,0,0/1,1,0"], "std must be positive"),
        (["--size", "large"], "size must be like 224 or 224x320"),
        (["--output", "nothing"], "output must name a value that a node makes"),
    ],
)
def test_bad_options(tmp_path, words, message):
    out = tmp_path / "m.safetensors"
    result = sentei("import", str(FILE), "--out", str(out), "--no-check", *words)
    assert result.code == 2 and message in result.err and not out.exists()


def test_a_file_that_is_no_network(tmp_path):
    path = tmp_path / "x.onnx"
    path.write_bytes(b"not a network")
    result = sentei("import", str(path))
    assert result.code == 2 and "import_onnx: the file must be a whole ONNX model" in result.err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x.onnx"]
