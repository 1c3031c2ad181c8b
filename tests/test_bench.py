"""The figures in the documentation are those of the records."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).resolve().parents[1]
RECORDS = sorted((ROOT / "bench" / "results").glob("*/*.jsonl"))


def load_report():
    spec = importlib.util.spec_from_file_location("bench_report", ROOT / "bench" / "report.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_performance_page_equals_the_records():
    report = load_report()
    text = report.PAGE.read_text()
    assert report.page(text) == text, "run python bench/report.py --write"
    assert "| `vgg13_like` | training step |" in text


def test_plots_equal_the_records():
    report = load_report()
    drawn = report.plots()
    assert {p.name for p in report.PLOTS.glob("*.svg")} == set(drawn), "bench/report.py --write"
    for name, svg in drawn.items():
        assert (report.PLOTS / name).read_text() == svg, "run python bench/report.py --write"
        ElementTree.fromstring(svg)
    page = report.PAGE.read_text()
    assert all(f"](plots/{name})" in page for name in drawn)


@pytest.mark.parametrize("path", RECORDS, ids=lambda p: str(p.relative_to(ROOT)))
def test_records_are_complete(path):
    report = False  # of the command line, which knows versions and no commits; its trials follow it
    for line in path.read_text().splitlines():
        r = json.loads(line)
        if report and "date" not in r:
            assert {"arm", "seed", "state", "values"} <= set(r)
            continue
        report = "command" in r
        assert r["date"]
        assert {"cpu", "isa", "threads"} <= set(r["machine"])
        assert r["versions"]["sentei"] if report else {"commit", "dirty"} <= set(r["machine"])
        if path.name.startswith("cuda_"):
            complete_on_cuda(r)
            continue
        if path.stem in ("step", "conv2d"):
            assert r["precision"] == "float32" and r["milliseconds"]["sentei"]["samples"] >= 2
            assert set(r["ratios"]) == {k for k in r["milliseconds"] if k.startswith("torch")}
            assert not set(r.get("missing", {})) & set(r["milliseconds"])


def complete_on_cuda(r):
    """Measured on a device, right, and each arm says what it computed with."""
    assert not r["device"]["dry"] and r["device"]["gpu"]
    if "microseconds" not in r:  # a whole program
        assert r["precision"] and r["goal"]
        return
    assert r["ceilings"]["copy"] > 0
    assert all(v["samples"] >= 5 for v in r["microseconds"].values())
    assert set(r["arms"]) == set(r["microseconds"])
    assert all({"precision", "layout"} <= set(a) for a in r["arms"].values())


US = {"median": 2.0, "p10": 1.9, "p90": 2.1, "min": 1.9, "samples": 11}
DEVICE = {"dry": False, "gpu": "a device", "driver": "13.0", "torch": "2.11.0"}
ON_CUDA = {
    "cuda_ops": {
        "op": "add",
        "case": "1x1x1x4",
        "precision": "float32",
        "share": 0.9,
        "share_of": "copy",
        "bytes": 1 << 30,
        "ratios": {"torch_nchw": 1.25},
        "microseconds": {"sentei": US, "torch_nchw": {**US, "median": 2.5}},
    },
    "cuda_step": {
        "network": "lenet5_prune",
        "batch": 100,
        "ratios": {"float32_vs_best_float32": 2.0, "best_vs_best": 1.5},
        "microseconds": {
            **{f"sentei_{p}": US for p in ("float32", "tf32", "bfloat16")},
            "torch_default": {**US, "median": 8.0},
            "torch_bf16_graph": {**US, "median": 3.0},
        },
    },
}


@pytest.fixture
def on_cuda(tmp_path):
    """Records of a device that is not there."""
    common = {"device": DEVICE, "ceilings": {"copy": 4.2e12, "tf32": 4e14}}
    (tmp_path / "a-device").mkdir()
    for name, r in ON_CUDA.items():
        (tmp_path / "a-device" / f"{name}.jsonl").write_text(json.dumps({**common, **r}) + "\n")
    return tmp_path


def test_tables_of_a_device(on_cuda, monkeypatch):
    report = load_report()
    monkeypatch.setattr(report, "RESULTS", on_cuda)
    text = report.cuda_tables()
    assert "`a-device`: a device, driver for CUDA 13.0, PyTorch 2.11.0" in text
    assert "copy 4.20 TB/s, tf32 400 TFLOP/s" in text
    assert "| `lenet5_prune` | 100 | 2 (2.00x) | 2 | 2 | 8 | 3 (bf16_graph) | 1.50x |" in text
    assert "| `add` | 1x1x1x4 | float32 | 2.0 | 90% of copy | nchw 1.25x |" in text


def test_goals_are_compared_with_the_records(on_cuda):
    script = ROOT / "bench" / "cuda" / "summary.py"
    command = [sys.executable, str(script), str(on_cuda / "a-device")]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "| memory-bound ops, share of a copy | >= 0.85 | 0.90 / 0.90 / 0.90 | 1 of 1 |" in out
    assert (
        "| step lenet5_prune b100, best vs best PyTorch | >= 1.5 | 1.50 / 1.50 / 1.50 | 1 of 1 |"
        in out
    )
    assert "conv2d forward bfloat16, C and K >= 128, TFLOP/s | >= 400 | not measured |" in out


def timed(ms):
    return {**US, "median": ms}


MACHINE = {"cpu": "a CPU", "isa": "v4", "threads": 2, "commit": "abc", "dirty": False}
PEAK = {"peak_gflops": 500.0, "peak_by": "fma", "torch": "2.13.0"}
STEP = {"network": "vgg16", "work": "train", "batch": 8, "precision": "float32", **PEAK}
ON_CPU = {
    "step": [
        {**STEP, "commit": "old", "milliseconds": {"sentei": timed(9.0), "torch_nchw": timed(1.0)}},
        {**STEP, "milliseconds": {"sentei": timed(100.0), "torch_nchw": timed(250.0)}},
        {
            **STEP,
            "milliseconds": {
                "sentei": timed(110.0),
                "sentei_fast": timed(80.0),
                "torch_compile": timed(220.0),
            },
        },
    ],
    "conv2d": [
        {"op": "conv2d_forward", "case": "a->b", "precision": "float32", "flops": 4e9, **PEAK,
         "milliseconds": {"sentei": timed(10.0), "sentei_fast": timed(5.0)}},
    ],
    "threads": [
        {"network": "vgg13_like", "work": "train", "precision": "float32", "speedup": {"2": 1.9},
         "milliseconds": {"sentei_1": timed(19.0), "sentei_2": timed(10.0)}},
    ],
    "scaling": [
        {"sweep": "batch", "torch": "2.13.0", "points": [
            {"value": n, "batch": n, "milliseconds": {"sentei": timed(n / 2), "torch_nchw": timed(n)}}
            for n in (1, 16, 256)
        ]},
    ],
    "scores": [{"network": "vgg13_like", "batch": 100, "ratios": {"free": 1.004, "maps": 1.1}}],
    "memory_peak": [
        {"network": "vgg13_like", "work": "train", "batch": 100,
         "bytes": {"sentei": 300 << 20, "torch_nchw": 500 << 20}},
    ],
    "loop": [
        {"network": "vgg13_like", "precision": "float32", "retrain_steps": 20, "overhead": 0.0125,
         "seconds_per_channel": 5.25, "parts": {"scoring": 1.0, "surgery": 0.05, "retraining": 4.2}},
    ],
}  # fmt: skip


@pytest.fixture
def on_cpu(tmp_path, monkeypatch):
    report = load_report()
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    (tmp_path / "a-machine").mkdir()
    for name, rows in ON_CPU.items():
        machines = [{**MACHINE, "commit": r.get("commit", "abc")} for r in rows]
        lines = [json.dumps({**r, "machine": m}) for r, m in zip(rows, machines, strict=True)]
        (tmp_path / "a-machine" / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
    return report


def test_tables_of_a_machine(on_cpu):
    text = on_cpu.tables()
    assert "`a-machine`: a CPU, tier v4, 2 threads, peak 500 GFLOP/s by a loop" in text
    # 250 / 100 from the first piece, 220 / 110 from the second: 2.00x is the best, fast 220 / 80
    row = "| `vgg16` | training step | 8 | 110.0 | 80.0 | 250.0 (2.50x) | 220.0 (2.00x) | 2.00x | 2.75x |"
    assert row in text, "pieces of one commit are joined, those of another are not"
    assert "| forward | a->b | 10.00 | 80% | 160% |" in text
    assert "| `vgg13_like` | training step | float32 | 19.0 | 1.90x |" in text
    assert "| batch | 16 | 16 | 8.00 | 16.0 |" in text
    assert "| `vgg13_like` | 100 | +0.4% | +10.0% |" in text
    assert "| `vgg13_like` | training step | 100 | 300 | 500 |" in text
    assert "| `vgg13_like` | float32 | 20 | 5.250 | 1000.0 | 50.0 | 4200.0 | 1.2% |" in text


def test_plots_of_a_machine(on_cpu):
    drawn = on_cpu.plots()
    assert (
        set(drawn) == {"a-machine-speedup.svg", "a-machine-batch.svg"} and drawn == on_cpu.plots()
    )
    for svg in drawn.values():
        root = ElementTree.fromstring(svg)
        width, height = (float(root.get(k)) for k in ("width", "height"))
        for e in root.iter():
            for key, most in (
                ("x", width),
                ("cx", width),
                ("x2", width),
                ("y", height),
                ("cy", height),
            ):
                assert 0 <= float(e.get(key, 0)) <= most, "nothing lies outside"
        assert "prefers-color-scheme:dark" in svg
    # bars: 2.5 is the longest, 2.0 is four fifths of it
    rects = [
        e
        for e in ElementTree.fromstring(drawn["a-machine-speedup.svg"]).iter()
        if e.tag.endswith("rect")
    ]
    widths = [float(e.get("width")) for e in rects]
    assert len(widths) == 3 and widths[1] / widths[0] == pytest.approx(0.8, rel=0.01)
    assert widths[2] / widths[0] == pytest.approx(1.1, rel=0.01)
    points = drawn["a-machine-batch.svg"].split('<polyline points="')[1].split('"')[0].split()
    (x0, y0), (x1, y1), (x2, y2) = (map(float, p.split(",")) for p in points)
    assert (x1 - x0) == pytest.approx(x2 - x1, rel=0.01), "1, 16, 256 are even on a log axis"
    assert y0 > y1 > y2, "time grows upwards"


def test_training_is_not_slower_than_pytorch():
    """What the project promises: the latest records of a training step, default layout."""
    latest = {}
    for folder, r in load_report().records("step"):
        latest[folder, r["network"], r["work"]] = r
    for (_, network, work), r in latest.items():
        if work == "train":
            assert r["ratios"]["torch_nchw"] >= 1.0, network
