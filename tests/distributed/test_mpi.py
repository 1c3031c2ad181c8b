"""Several ranks of MPI train as one process does; what dies is started again."""

from __future__ import annotations

import functools
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest

import sentei
from extras import need
from toys import same_bits

need("mpi4py")

MPIEXEC = shutil.which(
    "mpiexec", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
)
pytestmark = pytest.mark.skipif(MPIEXEC is None, reason="there is no mpiexec")

JOB = Path(__file__).with_name("mpi_job.py")
PACKAGE = Path(sentei.__file__).resolve().parents[1]
LIMIT = 120  # seconds; a job that hangs is ended


def environment(**more: str) -> dict[str, str]:
    path = os.pathsep.join([str(PACKAGE), os.environ.get("PYTHONPATH", "")])
    # ranks that wait do not spin: the machine may have fewer cores than there are ranks
    calm = {"MPIR_CVAR_CH4_PROGRESS_THROTTLE": "1"}
    return {**os.environ, **calm, "PYTHONPATH": path, **more}


def ranks(n: int, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run words of Python in n ranks."""
    return subprocess.run(
        [str(MPIEXEC), "-n", str(n), sys.executable, *words],
        capture_output=True,
        text=True,
        timeout=LIMIT,
        env=environment(**env),
        check=False,
    )


def alone(what: str) -> dict[str, np.ndarray]:
    """What one process comes to: this one."""
    spec = importlib.util.spec_from_file_location("mpi_job", JOB)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.alone(what)


def job(n: int, what: str, out: Path) -> dict[str, np.ndarray]:
    done = ranks(n, str(JOB), what, str(out))
    assert done.returncode == 0, done.stderr
    return dict(np.load(out))


def close(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> None:
    """Rounding apart: 15 steps, each of which may add some of float32."""
    assert set(a) == set(b)
    for k, x in a.items():
        scale = float(np.abs(x).max()) or 1.0
        assert float(np.abs(x - b[k]).max()) <= 2000 * np.finfo(np.float32).eps * scale, k


@pytest.mark.parametrize(
    ("kind", "n"), [("sgd", 2), ("semi", 2), ("residual", 3), ("pool", 2), ("sparse", 2)]
)
def test_same_trajectory_as_one_process(kind, n, tmp_path):
    """Batch norm, dropout, augmentation, updates; 12 samples on 2 or 3 ranks."""
    close(alone(kind), job(n, kind, tmp_path / "many.npz"))


def test_uneven_parts(tmp_path):
    close(alone("adam"), job(5, "adam", tmp_path / "many.npz"))


@functools.cache
def two_ranks() -> dict[str, np.ndarray]:
    with tempfile.TemporaryDirectory() as folder:
        return job(2, "sgd", Path(folder) / "two.npz")


def test_same_bits_twice_and_without_overlap(tmp_path):
    same_bits(two_ranks(), job(2, "sgd-late", tmp_path / "late.npz"))


def test_split_layers(tmp_path):
    """Convolution and linear layers cut over ranks: the network that was not split."""
    close(alone("split"), job(2, "split", tmp_path / "two.npz"))


def test_killed_rank_ends_the_job_and_a_new_one_goes_on(tmp_path):
    whole = two_ranks()
    out = tmp_path / "killed.npz"
    start = time.monotonic()
    died = ranks(2, str(JOB), "death", str(out))
    assert died.returncode != 0
    assert time.monotonic() - start < LIMIT / 2
    assert out.with_suffix(".ckpt").is_file()
    assert not out.exists()
    again = job(2, "death", out)
    same_bits(again, {k: whole[k] for k in again})


def test_different_parameters_are_noticed(tmp_path):
    done = ranks(2, str(JOB), "different", str(tmp_path / "x.npz"))
    assert done.returncode != 0
    assert "mpi: the parameters after an epoch must be the same on all ranks, got [" in done.stderr


def test_not_finite_on_one_rank_stops_all(tmp_path):
    done = ranks(2, str(JOB), "nan", str(tmp_path / "x.npz"))
    assert done.returncode != 0
    assert "the input 'x' is the first that is not" in done.stderr


KILLER = """
import os, signal, sys, threading, time
def watch():
    while not os.path.exists(os.environ["KILL_WHEN"]):
        time.sleep(0.005)
    os.kill(os.getpid(), signal.SIGKILL)
if os.environ.get("PMI_RANK") == "1" and os.environ.get("SENTEI_RELAUNCHES") == "0":
    threading.Thread(target=watch, daemon=True).start()
"""


def test_launch_goes_on_with_the_ranks_that_are_left(tmp_path):
    """Command line: rank 1 killed after the first checkpoint; the run ends on one rank fewer, or as many."""
    (tmp_path / "sitecustomize.py").write_text(KILLER)
    settings = tmp_path / "small.toml"
    settings.write_text("[data]\nlimit = 300\n[run]\nlatency_seconds = 0\n")
    words = ["train", "--network", "lenet5_disc_1", "-c", str(settings), "--batch", "30", "-q"]
    words += ["--epochs", "4", "--threads", "1", "--run-dir"]
    launch = ["-m", "sentei.distributed.launch", "-n", "2", "--retries", "1"]
    launch += ["--mpiexec", str(MPIEXEC)]
    models = {}
    whole = ranks(2, "-m", "sentei", *words, str(tmp_path / "whole"))
    assert whole.returncode == 0, whole.stderr
    for name, more in (("keep", ["--keep"]), ("left", [])):
        folder = tmp_path / name
        path = os.pathsep.join([str(tmp_path), str(PACKAGE)])
        done = subprocess.run(
            [sys.executable, *launch, *more, "--", *words, str(folder)],
            capture_output=True,
            text=True,
            timeout=LIMIT,
            env=environment(PYTHONPATH=path, KILL_WHEN=str(folder / "checkpoint.safetensors")),
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "relaunch 1 of 1 on" in done.stderr
        report = json.loads((folder / "report.json").read_text())
        models[name] = (folder / "model.safetensors").read_bytes()
        if name == "keep":
            assert report["cluster"]["ranks"] == 2
            assert report["cluster"]["relaunches"] == 1
            assert len(report["cluster"]["bytes_of_ranks"]) == 2
        else:  # one rank is left: a process alone
            assert not report.get("cluster")
    assert models["keep"] == (tmp_path / "whole" / "model.safetensors").read_bytes()
    assert not (tmp_path / "whole" / "checkpoint.safetensors").exists()


def test_command_line_refuses(tmp_path):
    """One sentence, from rank 0; nothing is written."""
    folder = str(tmp_path / "run")
    done = ranks(2, "-m", "sentei", "train", "--batch", "1", "--run-dir", folder)
    assert done.returncode == 2
    assert done.stderr.count("batch must be at least the number of ranks, 2, got 1") == 1
    done = ranks(2, "-m", "sentei", "demo", "--run-dir", folder)
    assert done.returncode == 2
    assert "demo: must be run in one process, got 2 ranks of MPI" in done.stderr
    assert not Path(folder).exists()


PARAMETERS_BLOW_UP = """
import sys
import numpy as np
import sentei.distributed as sd
from sentei import nn
from sentei.errors import NonFiniteError
from sentei.optim import SGD
net = nn.build(nn.Sequential(nn.Flatten(), nn.Linear(3)), (6, 6, 2))
x = np.random.default_rng(0).standard_normal((12, 6, 6, 2)).astype(np.float32) * 100
try:
    sd.data_parallel(net, (x, np.arange(12) % 3), optimizer=SGD(3e38), batch=12, epochs=3,
                     progress="none", checkpoint=sys.argv[1])
except NonFiniteError:
    sys.exit(1)
"""


def test_parameters_that_are_not_finite_end_all_ranks(tmp_path):
    """The loss is finite still: a checkpoint finds it, and every rank must leave with it."""
    done = ranks(2, "-c", PARAMETERS_BLOW_UP, str(tmp_path / "c.safetensors"))
    assert done.returncode == 1, done.stderr
    assert not (tmp_path / "c.safetensors").exists()


def test_launch_takes_its_job_with_it(tmp_path):
    """SIGTERM, as batch systems send it."""
    sleeper = tmp_path / "mpiexec"
    sleeper.write_text(f"#!/bin/sh\necho $$ > {tmp_path / 'pid'}\nexec sleep 60\n")
    sleeper.chmod(0o755)
    words = ["-m", "sentei.distributed.launch", "-n", "2", "--mpiexec", str(sleeper)]
    launcher = subprocess.Popen(
        [sys.executable, *words, "--", "train", "--run-dir", str(tmp_path / "r")], env=environment()
    )
    for _ in range(400):
        if (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip():
            break
        time.sleep(0.05)
    launcher.send_signal(signal.SIGTERM)
    assert launcher.wait(20) == 128 + signal.SIGTERM
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
