"""doctor: looks everywhere, falls over nowhere."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from command import sentei
from sentei import _core
from sentei.workflow import doctor
from sentei.workflow.latency import compare, measure


def test_doctor_tells_people():
    result = sentei("doctor")
    assert result.code == 0, result.out
    for word in ("build", "kernels", "threads", "device cuda", "versions", "self-test"):
        assert word in result.out


def test_doctor_tells_machines():
    found = sentei("doctor", "--json").json()
    assert found["ok"] is True and found["problems"] == []
    assert found["threads"]["used"] == _core.threads() and found["threads"]["why"]
    assert found["cpu"]["tier"] in found["cpu"]["tiers_supported"]
    assert found["devices"]["cpu"] == "ready" and found["devices"]["cuda"]
    assert found["versions"]["numpy"] and found["build"]["compiler"]
    assert set(found["extras"]) >= {"plot", "onnx", "torch"}


FOR_WORK_ON_SENTEI = {"test", "lint", "bench", "docs", "wheels", "dev", "all"}


def test_doctor_knows_every_extra():
    text = (Path(__file__).resolve().parents[2] / "pyproject.toml").read_text()
    declared = set(tomllib.loads(text)["project"]["optional-dependencies"])
    assert set(doctor.examine()["extras"]) == declared - FOR_WORK_ON_SENTEI


def test_doctor_says_what_an_extra_is_for(monkeypatch):
    monkeypatch.setattr(doctor, "_present", lambda module: module != "onnxruntime")
    lines = sentei("doctor").out.splitlines()
    told = next(line for line in lines if line.startswith("extra onnx"))
    assert "no onnxruntime: ONNX files" in told and 'pip install "sentei[onnx]"' in told
    assert any(line.startswith("extra plot") and "present: " in line for line in lines)


PARTS = ["_build", "_cpu", "_threads", "_memory", "_devices", "_extras", "_self_test", "versions"]


@pytest.mark.parametrize("part", PARTS)
def test_doctor_survives_a_broken_part(part, monkeypatch):
    def broken():
        raise OSError("it is broken")

    broken.__name__ = part
    monkeypatch.setattr(doctor, part, broken)
    found = doctor.examine()
    assert found["ok"] is False and any("it is broken" in p for p in found["problems"])
    json.dumps(found, default=str)
    result = sentei("doctor")
    assert result.code == 1 and "PROBLEM" in result.out


@pytest.mark.parametrize("text", ["", "max 100000", "200000 100000", "rubbish", "1 0"])
def test_doctor_reads_any_quota(text, monkeypatch, tmp_path):
    file = tmp_path / "cpu.max"
    file.write_text(text)
    monkeypatch.setattr(doctor, "CGROUP", tmp_path)
    assert doctor.cpu_quota() == (2.0 if text.startswith("200000") else None)


def test_latency_of_two_models_in_turns(pruned):
    from sentei import io

    models = [io.load(pruned / f"{n}.safetensors") for n in ("model", "pruned")]
    found = measure(models, (1, 3), 0.02)
    assert [set(f) for f in found] == [{"1", "3"}] * 2
    for f in found:
        for t in f.values():
            assert 0 < t["p10"] <= t["median"] <= t["p90"]


def test_the_word_for_a_ratio():
    def at(ms):
        return {"1": {"median": ms, "p10": ms, "p90": ms}}

    assert compare(at(2.0), at(1.0)) == {"1": (2.0, "faster")}
    assert compare(at(1.0), at(2.0)) == {"1": (0.5, "slower")}
    assert compare(at(1.0), at(1.02))["1"][1] == "same"
