"""The script behind the table of docs/how-to/from-pytorch.md: it runs, and the page is its record."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import sentei
from extras import need
from small_files import write_cifar

need("torch")
need("onnx")
need("onnxscript")
need("onnxruntime")

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "bench" / "interop" / "from_pytorch.py"
RECORDS = sorted((ROOT / "bench" / "results").glob("*/from_pytorch.jsonl"))


def load_script():
    spec = importlib.util.spec_from_file_location("bench_from_pytorch", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def call(*arguments) -> None:
    paths = [str(Path(sentei.__file__).resolve().parents[1]), os.environ.get("PYTHONPATH", "")]
    ran = subprocess.run(
        [sys.executable, str(SCRIPT), *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(p for p in paths if p)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr


def test_the_whole_way_in_small(tmp_path):
    data = write_cifar(tmp_path / "data", "cifar10", 60, 40)
    work = tmp_path / "work"
    call("--data", data, "--scale", "tiny", "--work", work, "--threads", 2)
    call("--time", "--work", work, "--record", tmp_path / "record", "--threads", 2)
    (line,) = (tmp_path / "record" / "from_pytorch.jsonl").read_text().splitlines()
    r = json.loads(line)
    assert r["accuracy"].keys() == {"torch", "imported", "cut", "retrained", "onnx"}
    assert r["accuracy"]["torch"] == pytest.approx(r["accuracy"]["imported"], abs=0.026)
    assert r["pruned"]["macs"] <= 0.7 * r["whole"]["macs"]
    assert r["pruned"]["onnx_bytes"] < r["whole"]["onnx_bytes"]
    assert r["difference_imported"] < 1e-4 and r["difference_onnx"] < 1e-4
    assert r["channels"] > 0 and r["masked_against_pruned"] < 1e-3
    page = load_script().page_text(r, "before <!-- record -->old<!-- end --> after")
    assert page.startswith("before <!-- record -->\n| step |") and page.endswith(
        "<!-- end --> after"
    )
    assert "old" not in page and page.count("\n| ") == 7


def test_the_page_is_the_record():
    assert RECORDS, "python bench/interop/from_pytorch.py makes it"
    script = load_script()
    text = script.PAGE.read_text()
    newest = json.loads(RECORDS[-1].read_text().splitlines()[-1])
    assert newest["scale"] == "small"
    assert script.page_text(newest, text) == text, "run bench/interop/from_pytorch.py --page"
