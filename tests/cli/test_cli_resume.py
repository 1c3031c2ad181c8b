"""A run that was stopped anywhere and resumed ends with the bits of one that was not."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from command import sentei
from interrupted import Stop, same
from sentei import io
from sentei.report import read_events
from sentei.workflow import InterruptedRunError, load_config, resume, start, train
from sentei.workflow.demonstration import demo_plan
from sentei.workflow.run_dir import RunDir, RunDirError


def demo_of(small: list[str], folder: Path):
    flags = {"run.run_dir": str(folder)}
    return demo_plan(quick=True, pairs=tuple(small[1::2]), flags=flags)


@pytest.fixture(scope="module")
def whole(small, tmp_path_factory) -> Path:
    """The run that was not stopped."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    assert start(demo_of(small, folder)).ok
    return folder


MOMENTS = [
    ("step of training", 3),
    ("step of training", 10),  # the last step of an epoch
    ("epoch of training", 1),
    ("stage pruning", 1),
    ("prune_step", 1),
    ("prune_step", 5),
    ("stage fine-tuning", 1),
    ("step of fine-tuning", 4),
    ("stage measuring", 1),
]


@pytest.mark.parametrize(("hook", "count"), MOMENTS)
def test_stopped_and_resumed_is_never_stopped(hook, count, whole, small, tmp_path):
    folder = tmp_path / "run"
    stop = Stop(hook, count)
    with pytest.raises(InterruptedRunError) as e:
        start(demo_of(small, folder), stop)
    assert stop.left <= 0 and e.value.run_dir == folder
    assert not (folder / "report.json").exists()
    result = resume(folder)
    assert result.ok
    same(whole, folder)
    assert not (folder / "checkpoint.safetensors").exists()
    seconds = result.report["seconds"]
    assert seconds["total"] > seconds["train"] + seconds["prune"], "of both sessions"


def test_one_process_at_a_time(small, tmp_path):
    plan = demo_of(small, tmp_path / "run")
    run = RunDir.create(plan.run_dir, plan.command, plan.config)
    with pytest.raises(RunDirError, match="must be new or empty, another process has just begun"):
        start(plan)
    with run.claimed(), pytest.raises(RunDirError, match="another process is at work in it"):
        resume(plan.run_dir)


def test_stopped_twice(whole, small, tmp_path):
    folder = tmp_path / "run"
    with pytest.raises(InterruptedRunError):
        start(demo_of(small, folder), Stop("step of training", 5))
    with pytest.raises(InterruptedRunError):
        resume(folder, Stop("prune_step", 4))
    assert resume(folder).ok
    same(whole, folder)


def test_ctrl_c_in_a_process_then_resume(whole, small, tmp_path):
    folder = tmp_path / "run"
    words = [sys.executable, "-m", "sentei", "demo", "--quick", *small, "--run-dir", str(folder)]
    process = subprocess.Popen(words, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    end = time.monotonic() + 60
    events = folder / "events.jsonl"
    while time.monotonic() < end and process.poll() is None:
        if events.exists() and b"prune_step" in events.read_bytes():
            break
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "sentei: stopped; checkpoint: " in err and f"sentei resume {folder}" in err
    assert out == ""
    result = sentei("resume", folder, "--quiet")
    assert result.code == 0, result.err
    same(whole, folder)


def test_a_killed_run_goes_on(whole, small, tmp_path):
    """No chance to say goodbye: an older checkpoint and half a line in events.jsonl."""
    folder = tmp_path / "run"
    with pytest.raises(InterruptedRunError):
        start(demo_of(small, folder), Stop("prune_step", 4))
    with (folder / "events.jsonl").open("a") as file:
        file.write('{"event": "prune_step", "step": 999, "la')
    assert resume(folder).ok
    same(whole, folder)
    steps = [e["step"] for e in read_events(folder / "events.jsonl") if e["event"] == "prune_step"]
    assert 999 not in steps


def test_nothing_but_the_plan_is_needed(whole, small, tmp_path):
    plan = demo_of(small, tmp_path / "run")
    RunDir.create(plan.run_dir, plan.command, plan.config)
    assert resume(plan.run_dir).ok
    same(whole, plan.run_dir)


def test_training_on_from_a_file_needs_it_only_once(trained, small, tmp_path):
    """A checkpoint is enough: the file it began with may be gone."""
    ends = []
    for stop in (None, Stop("step of training", 5)):
        file = tmp_path / "start.safetensors"
        file.write_bytes((trained / "model.safetensors").read_bytes())
        folder = tmp_path / f"run{len(ends)}"
        flags = {"model.file": str(file), "run.run_dir": str(folder), "train.lr": 0.01}
        config = load_config(pairs=small[1::2], flags=flags)
        if stop is None:
            train(config)
        else:
            with pytest.raises(InterruptedRunError):
                train(config, stop)
            file.unlink()
            resume(folder)
        ends.append(io.load(folder / "model.safetensors").arrays())
    for key, array in ends[0].items():
        assert np.array_equal(array, ends[1][key])
    before = io.load(trained / "model.safetensors").arrays()
    assert not np.array_equal(before["fc2.weight"], ends[0]["fc2.weight"])
