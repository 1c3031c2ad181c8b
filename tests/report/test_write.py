"""Files of a report are whole or not there."""

import builtins
import json
import logging
import math
import os
from pathlib import Path

import numpy as np
import pytest

from sentei.errors import DataError
from sentei.report import write_report
from sentei.report.schema import clean


def test_files_and_round_trip(tmp_path, make_report):
    written = write_report(tmp_path / "runs" / "a", make_report())
    assert written["json"] == tmp_path / "runs" / "a" / "report.json"
    assert json.loads(written["json"].read_text()) == make_report()
    assert written["html"].read_text(encoding="utf-8").startswith("<!doctype html>")
    left = sorted(p.name for p in (tmp_path / "runs" / "a").iterdir())
    assert [name for name in left if name != "plots"] == ["report.html", "report.json"]


def test_learning_curves_are_a_png(tmp_path, make_report):
    pytest.importorskip("matplotlib")
    report = make_report()
    report["training"].append({"epoch": 4, "loss": math.nan, "val_loss": 1e308, "accuracy": None})
    written = write_report(tmp_path, report)
    assert written["learning_curves"] == tmp_path / "plots" / "learning_curves.png"
    assert written["learning_curves"].read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert list((tmp_path / "plots").iterdir()) == [written["learning_curves"]]


def test_no_epochs_no_png(tmp_path, make_report):
    assert set(write_report(tmp_path, make_report(training=[]))) == {"json", "html"}
    assert not (tmp_path / "plots").exists()


def test_without_matplotlib_one_line_is_logged(tmp_path, make_report, monkeypatch, caplog):
    found = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return found(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with caplog.at_level(logging.INFO, logger="sentei.report"):
        written = write_report(tmp_path, make_report())
    assert set(written) == {"json", "html"}
    assert "Learning curves" in written["html"].read_text(encoding="utf-8")
    assert [r.getMessage() for r in caplog.records] == [
        "learning curves: no PNG, matplotlib is not installed (extra: plot)"
    ]


def test_numbers_that_json_lacks_become_null(tmp_path, make_report):
    report = make_report(loss={"before": math.nan, "after": -math.inf}, seed=np.int32(7))
    report["scores"][0]["values"] = np.array([1.0, np.nan, np.inf])
    raw = write_report(tmp_path, report)["json"].read_text()
    assert "NaN" not in raw and "Infinity" not in raw
    data = json.loads(raw)
    assert data["loss"] == {"before": None, "after": None}
    assert data["seed"] == 7
    assert data["scores"][0]["values"] == [1.0, None, None]


def test_clean_keeps_kinds():
    dirty = {1: (True, np.bool_(False), np.float32(0.5)), "p": Path("a"), "s": "x\x00\ud800"}
    assert clean(dirty) == {"1": [True, False, 0.5], "p": "a", "s": "x\ufffd?"}
    assert clean(True) is True and clean(np.True_) is True


def test_refusals_write_nothing(tmp_path, make_report):
    with pytest.raises(DataError, match=r"report\.layers\[0\]\.op must be a plain value"):
        write_report(tmp_path, make_report(layers=[{"op": object()}]))
    with pytest.raises(DataError, match="report must be a mapping, got list"):
        write_report(tmp_path, [1])  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_the_old_file_whole(tmp_path, make_report, monkeypatch):
    old = write_report(tmp_path, make_report(training=[]))["json"].read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_report(tmp_path, make_report(seed=2))
    assert (tmp_path / "report.json").read_bytes() == old
    assert sorted(p.name for p in tmp_path.iterdir()) == ["report.html", "report.json"]
