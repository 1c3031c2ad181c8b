"""The package as installed: version, fast import, stubs, threads, fork."""

from __future__ import annotations

import importlib.metadata
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import sentei
from sentei import _core, device

ROOT = Path(__file__).resolve().parents[1]


def test_version_is_one():
    assert _core.__version__ == sentei.__version__
    assert _core.build_info()["version"] == sentei.__version__
    try:
        assert importlib.metadata.version("sentei") == sentei.__version__
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("sentei runs from a source tree here, it is not installed")
    assert f"## {sentei.__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_import_is_fast():
    code = "import time; t = time.perf_counter(); import sentei; print(time.perf_counter() - t)"
    best = min(float(subprocess.check_output([sys.executable, "-c", code])) for _ in range(5))
    assert best < 0.2, f"import sentei took {best:.3f} s"


def test_import_loads_nothing_heavy():
    code = "import sys, sentei; print([m for m in ('numpy','rich','typer','pydantic') if m in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_stub_lists_every_function():
    stub = (Path(sentei.__file__).parent / "_core.pyi").read_text()
    listed = set(re.findall(r"^(?:def|class) (\w+)", stub, re.M)) | {"__version__"}
    real = {n for n in dir(_core) if not n.startswith("_")} | {"__version__"}
    assert listed == real


def test_stub_arguments_match():
    stub = (Path(sentei.__file__).parent / "_core.pyi").read_text()
    for name, body in re.findall(r"^def (\w+)\((.*?)\) ->", stub, re.M | re.S):
        want = re.findall(r"(\w+): ", body)
        signature = (getattr(_core, name).__doc__ or "").split("\n")[0]
        got = re.findall(r"[(,] ?(\w+): ", signature)
        assert got == want, f"{name}: stub says {want}, module says {got}"


def test_unknown_attribute():
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = sentei.nonsense


def test_thread_count(threads):
    device.set_threads(3)
    assert device.threads() == 3
    assert _core.threads_source() == "set_threads"
    for bad in (0, -1, 5000):
        with pytest.raises(ValueError, match="n must be between 1 and 4096"):
            device.set_threads(bad)


@pytest.mark.parametrize("variable", ["SENTEI_NUM_THREADS", "OMP_NUM_THREADS"])
def test_threads_from_environment(variable):
    code = "from sentei import _core; print(_core.threads(), _core.threads_source())"
    env = {k: v for k, v in os.environ.items() if not k.endswith("NUM_THREADS")} | {variable: "3"}
    assert subprocess.check_output([sys.executable, "-c", code], env=env, text=True).split() == [
        "3",
        variable,
    ]


def test_wrong_isa_is_refused_at_import():
    for value, text in (("v9", "must be one of v4, v3, v2, plain"),):
        env = {**os.environ, "SENTEI_ISA": value}
        r = subprocess.run(
            [sys.executable, "-c", "from sentei import _core"],
            env=env,
            capture_output=True,
            check=False,
            text=True,
        )
        assert r.returncode != 0 and text in r.stderr


def test_survives_fork(threads):
    """Workers do not exist in a child: it must make its own, not wait for the parent's."""
    device.set_threads(2)
    a = np.ones(1 << 20, np.float32)
    from sentei.ops import add_forward

    add_forward(a, a)
    pid = os.fork()
    if pid == 0:
        try:
            ok = float(np.asarray(add_forward(a, a)).sum()) == 2.0 * a.size
        except BaseException:
            ok = False
        os._exit(0 if ok else 1)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            assert os.waitstatus_to_exitcode(status) == 0
            break
        time.sleep(0.01)
    else:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
        pytest.fail("the child hung")
    assert float(np.asarray(add_forward(a, a)).sum()) == 2.0 * a.size


@pytest.mark.skipif(bool(_core.build_info()["sanitize"]), reason="needs all the address space")
def test_too_many_threads_are_refused():
    """The system's refusal is an error that a smaller number cures, not a hang."""
    code = """
import resource
from sentei import _core, errors
x = _core.Tensor.zeros((1 << 20,))
_core.set_threads(4000)
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
try:
    _core.relu_forward(x, x)
except errors.DeviceError as e:
    print(e)
_core.set_threads(2)
_core.relu_forward(x, x)
"""
    out = subprocess.check_output([sys.executable, "-c", code], text=True, timeout=60)
    assert out.startswith("threads: the system must start 4000, got ")


def test_devices_give_reasons():
    found = device.devices()
    assert found["cpu"] == "ready"
    assert found["cuda"] and found["cuda"] != "ready"
    with pytest.raises(sentei.errors.DeviceError, match="device cuda cannot be used: "):
        device.require("cuda")
    with pytest.raises(ValueError, match="device must be auto, cpu or cuda, got 'tpu'"):
        device.require("tpu")


def test_pool_loses_and_repeats_no_task(threads):
    """Short regions one after the other, more threads than cores, the pool remade in between."""
    from sentei.ops import add_forward

    a = np.arange(100_003, dtype=np.float32)
    want = a + a
    for n in (2, 5, 16, 3):
        device.set_threads(n)
        for _ in range(150):
            assert np.array_equal(np.asarray(add_forward(a, a)), want)
