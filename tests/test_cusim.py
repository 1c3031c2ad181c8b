"""The emulator of CUDA devices: its own checks fire, its schedules repeat, its tensor cores compute."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import devices
from sentei import _core
from sentei.errors import DeviceError
from sentei.tensor import Tensor

cusim = pytest.importorskip(
    "sentei._cusim", reason="the emulator is not built (SENTEI_CUSIM=ON builds it)"
)

ORDERS = ("forward", "reverse", "random")
COPIES = ("eager", "lazy", "mixed")
SEEDS = range(1, 9)
SANITIZED = bool(_core.build_info()["sanitize"])  # bad accesses then end the process

X = np.arange(1, 257, dtype=np.float32)


@pytest.fixture(autouse=True)
def configuration() -> Iterator[None]:
    before = cusim.configuration()
    yield
    cusim.configure(**before)


def run(name: str, outputs: int = 256, x: np.ndarray = X) -> Any:
    return cusim.run_probe(name, x, outputs)


def schedules() -> Iterator[dict[str, Any]]:
    for order in ORDERS:
        for copies in COPIES:
            yield {"order": order, "copies": copies, "seed": 1}
    for seed in SEEDS:
        yield {"order": "random", "copies": "mixed", "seed": seed}


# A mistake, the report, and whether it names one thread.
REFUSED = [
    ("divergent_barrier", r"divergent __syncthreads.* wait at wrong\.cu:\d+ and wrong\.cu:\d+", 1),
    ("early_return", r"__syncthreads at wrong\.cu:\d+ can never end: 4 of 64 threads have", 1),
    ("late_return", r"can never end: 1 of 64 threads have returned", 1),
    ("half_warp", r"deadlock .*: 32 threads wait for lanes of their warp at wrong\.cu:\d+, 32", 0),
    ("divergent_warp", r"different collectives, at wrong\.cu:\d+ and wrong\.cu:\d+", 1),
    ("outside_mask", r"lane \d+ is not in its own mask", 1),
    ("copy_misaligned", r"cp\.async: misaligned address for 16 bytes", 1),
    ("copy_not_shared", r"cp\.async: must copy from global to shared memory", 1),
    ("matrix_misaligned", r"ldmatrix at wrong\.cu:\d+: misaligned row", 1),
    ("not_rounded", r"mma at wrong\.cu:\d+: operand is not rounded to tf32", 1),
    ("part_of_warp", r"mma needs a full warp", 1),
    ("much_shared", r"a block may declare 49152 bytes of shared memory, got 49168", 1),
    ("much_dynamic_shared", r"a block may have 232448 bytes of shared memory, got 232449", 0),
    ("big_block", r"a block must have 1 to 1024 threads .*, got \(1025, 1, 1\)", 0),
    ("tall_grid", r"a grid must have .* blocks, got \(1, 65536, 1\)", 0),
    ("host_pointer", r"host pointer passed to a kernel", 0),
]
BAD_ACCESS = [
    ("read_past_end", r"bad access to \d+ bytes past the end of a buffer of 1024 bytes", 1),
    ("read_before", r"bad access to \d+ bytes before a buffer of 1024 bytes", 1),
    ("write_past_end", r"bad access to \d+ bytes past the end of a buffer of 1024 bytes", 1),
    ("write_before", r"somebody wrote 4 bytes before a buffer of 1024 bytes", 0),
    ("write_at_end", r"somebody wrote 0 bytes past the end of a buffer of 1028 bytes", 0),
    ("vector_misaligned", r"undefined behaviour: a misaligned address", 1),
    ("shared_index", r"undefined behaviour: .* an index outside its array", 1),
    ("dynamic_shared", r"bad access to shared memory outside of every variable", 1),
    ("overflow", r"undefined behaviour: .* an integer overflow", 1),
    ("divide", r"undefined behaviour|division by zero", 1),
    ("deep_stack", r"bad access to the stack", 1),
]


def refuses(name: str, message: str, place: int) -> None:
    pattern = rf"^cusim: {name}: .*{message}"
    if place:
        pattern += r".* in block \(0,0,0\), thread \(\d+,0,0\)$"
    for schedule in schedules():
        cusim.configure(**schedule)
        with pytest.raises(DeviceError, match=pattern):
            run(name, 257 if name == "write_at_end" else 256)
        # The device is as good as new.
        assert np.array_equal(run("pipeline", 4), X.reshape(4, 64).sum(1))


@pytest.mark.parametrize(("name", "message", "place"), REFUSED, ids=[r[0] for r in REFUSED])
def test_refuses(name, message, place):
    refuses(name, message, place)


@pytest.mark.skipif(SANITIZED, reason="the sanitizer ends the process")
@pytest.mark.parametrize(("name", "message", "place"), BAD_ACCESS, ids=[r[0] for r in BAD_ACCESS])
def test_refuses_bad_access(name, message, place):
    refuses(name, message, place)


# A mistake, the right result, and the schedules that must show it.
FORWARD = {"order": "forward", "copies": "lazy", "seed": 1}
REVERSE = {"order": "reverse", "copies": "lazy", "seed": 1}
EAGER = {"order": "random", "copies": "eager", "seed": 1}
LAZY = {"order": "random", "copies": "lazy", "seed": 1}
SHOWN = [
    ("missing_barrier", X[63::-1], [FORWARD, REVERSE, LAZY]),
    ("missing_loop_barrier", X.reshape(4, 64).sum(0)[::-1], [FORWARD, REVERSE]),
    ("missing_warp_barrier", X[:64].reshape(32, 2)[:, ::-1].ravel(), [FORWARD, REVERSE, LAZY]),
    ("missing_wait", X[63::-1], [LAZY]),
    ("missing_commit", X[63::-1], [LAZY]),
    ("buffer_in_use", X[63::-1], [{**FORWARD, "copies": "eager"}, EAGER]),
]
HIDDEN = [("missing_wait", EAGER), ("missing_commit", EAGER)]


@pytest.mark.parametrize(("name", "right", "shown"), SHOWN, ids=[s[0] for s in SHOWN])
def test_wrong_result(name, right, shown):
    for schedule in shown:
        cusim.configure(**schedule)
        assert not np.array_equal(run(name)[:64], right), schedule


def test_eager_copies_hide_a_missing_wait():
    for name, schedule in HIDDEN:
        cusim.configure(**schedule)
        assert np.array_equal(run(name)[:64], X[63::-1])


def test_poison():
    """What nobody wrote is NaN: shared memory of every block, outputs, lanes outside the mask."""
    for schedule in schedules():
        cusim.configure(**schedule)
        assert np.isnan(run("nobody_wrote_shared")[:64]).all()
        assert np.isnan(run("nobody_wrote_dynamic")[:64]).all()
        assert np.isnan(run("nobody_wrote_output")[63:]).all()
        assert np.isnan(run("lane_outside_mask")[:16]).all()


def test_collectives():
    x, lane = X[:32], np.arange(32)
    want = np.stack(
        [
            x[(7 * lane + 3) % 32],
            x[np.where(lane < 3, lane, lane - 3)],
            x[np.where(lane % 8 + 5 > 7, lane, lane + 5 - 32 * (lane + 5 > 31))],
            x[lane ^ 9],
            x[lane // 4 * 4 + 2],
            x[np.where(lane < 16, lane ^ 1, lane ^ 2)],
            np.ones(32),
        ]
    )
    for schedule in schedules():
        cusim.configure(**schedule)
        assert np.array_equal(run("collectives", 224).reshape(7, 32), want), schedule


def test_tensor_cores(rng):
    a8, b8, c = (rng.integers(-9, 10, s).astype(np.float32) for s in ((16, 8), (8, 8), (16, 8)))
    a16, b16 = (rng.integers(-9, 10, s).astype(np.float32) for s in ((16, 16), (16, 8)))
    for schedule in schedules():
        cusim.configure(**schedule)
        got = run("mma_tf32", 128, np.concatenate([a8, b8, c], axis=None)).reshape(16, 8)
        assert np.array_equal(got, a8 @ b8 + c)
        got = run("mma_bf16", 128, np.concatenate([a16, b16], axis=None)).reshape(16, 8)
        assert np.array_equal(got, a16 @ b16)


def test_pipeline_agrees_on_every_schedule():
    for schedule in schedules():
        cusim.configure(**schedule)
        assert np.array_equal(run("pipeline", 4), X.reshape(4, 64).sum(1)), schedule


def tickets(**schedule: Any) -> np.ndarray:
    """Which thread of 3 blocks of 96 was first, second, ...: before and after a barrier."""
    cusim.configure(**schedule)
    return run("tickets", 2 * 3 * 96).astype(int).reshape(2, 3, 96)


def test_orders():
    block = np.arange(3)[:, None] * 192
    assert np.array_equal(tickets(order="forward")[0], block + np.arange(96))
    assert np.array_equal(tickets(order="forward")[1], block + 96 + np.arange(96))
    assert np.array_equal(tickets(order="reverse")[0], (block + np.arange(96))[::-1, ::-1])


def test_seed_repeats_a_schedule():
    first = [tickets(order="random", seed=s) for s in SEEDS]
    again = [tickets(order="random", seed=s) for s in SEEDS]
    assert np.array_equal(first, again)
    assert len({t.tobytes() for t in first}) == len(SEEDS)
    for t in first:
        assert sorted(t.ravel()) == list(range(2 * 3 * 96))


def test_captures_replay():
    with devices.on("cusim"):
        a, b = (Tensor.from_numpy(np.full(5, v, np.float32)).to("cuda") for v in (1, 2))
        y = Tensor.zeros((5,), device="cuda")
        capture = _core.Capture()
        _core.add_forward(a, b, y)
        _core.add_forward(y, b, a)
        with pytest.raises(DeviceError, match="download: must not run inside a capture"):
            y.numpy()
        capture.end()
        assert np.array_equal(y.numpy(), np.zeros(5))  # recorded, not run
        for value in (3, 7, 11):
            capture.replay()
            assert np.array_equal(y.numpy(), np.full(5, value))


def test_settings_are_checked():
    with pytest.raises(ValueError, match="order must be a known name, got sideways"):
        cusim.configure(order="sideways")
    with pytest.raises(ValueError, match="copies must be a known name, got late"):
        cusim.configure(copies="late")
    with pytest.raises(ValueError, match="name must be that of a probe, got nothing"):
        run("nothing")


def child(code: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **variables},
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )


def test_settings_from_environment():
    code = "from sentei import _cusim; print(_cusim.configuration())"
    got = child(code, CUSIM_ORDER="1", CUSIM_ASYNC="2", CUSIM_SEED="7").stdout
    assert got.strip() == "{'order': 'reverse', 'copies': 'mixed', 'seed': 7}"
    got = child(code, CUSIM_ORDER="3").stderr
    assert "ValueError: cusim: CUSIM_ORDER must be a number from 0 to 2, got 3" in got


@pytest.mark.skipif(SANITIZED, reason="the sanitizer has its own exit")
def test_host_code_must_not_touch_device_memory():
    code = """
import numpy as np
from sentei import _cusim
x = np.ones(4, np.float32)
_cusim.run_probe("nobody_wrote_output", x.repeat(64), 64)
print("kernels and copies work", flush=True)
_cusim.run_probe("host_touches", x, 4)
print("and so does this", flush=True)
"""
    free = child(code, CUSIM_PROTECT="0")
    assert free.stdout.split("\n")[:2] == ["kernels and copies work", "and so does this"]
    closed = child(code, CUSIM_PROTECT="1")
    assert closed.stdout == "kernels and copies work\n"
    assert closed.returncode == -signal.SIGSEGV
