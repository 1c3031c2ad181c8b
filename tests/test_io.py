"""The model file: round trip, wholeness after failures, hostile files."""

from __future__ import annotations

import contextlib
import json
import os
import stat
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from sentei.errors import DataError
from sentei.io import atomic, load, load_checkpoint, save
from sentei.tensor import Tensor
from toys import same_bits, toy_net


@pytest.fixture
def model():
    m = toy_net(seed=3)
    m.meta = {"classes": ["a", "b", "ü"], "history": [{"step": 1}]}
    return m


@pytest.fixture
def path(tmp_path, model) -> Path:
    p = tmp_path / "m.safetensors"
    save(model, p)
    return p


def rewrite(path: Path, change, tensors=None) -> None:
    """Write the file again with its description changed."""
    raw = path.read_bytes()
    n = struct.unpack("<Q", raw[:8])[0]
    about = json.loads(json.loads(raw[8 : 8 + n])["__metadata__"]["sentei"])
    about = change(about) or about
    text = about if isinstance(about, str) else json.dumps(about)
    save_file(load_file(path) if tensors is None else tensors, path, {"sentei": text})


def test_round_trip(model, path):
    got = load(path)
    same_bits(got.tensors, model.tensors)
    assert got.graph.to_json() == model.graph.to_json()
    assert got.meta == model.meta
    x = np.random.default_rng(0).standard_normal((4, 6, 6, 2)).astype(np.float32)
    assert got.predict(x).tobytes() == model.predict(x).tobytes()


def test_the_library_reads_it(model, path):
    found = load_file(path)
    same_bits(found, model.tensors)
    raw = path.read_bytes()
    assert struct.unpack("<Q", raw[:8])[0] % 8 == 0


def test_checkpoint(model, tmp_path):
    p = tmp_path / "c.safetensors"
    extra = {
        "a.momentum": Tensor.from_numpy(np.arange(6, dtype=np.float32).reshape(2, 3)),
        "t": Tensor.from_numpy(np.array([7])),
        "none": Tensor.zeros((0, 3)),
    }
    save(model, p, {"step": 12, "lr": 0.1}, extra)
    _, state, tensors = load_checkpoint(p)
    assert state == {"step": 12, "lr": 0.1}
    same_bits(tensors, extra)
    assert set(load(p).tensors) == set(model.tensors)
    save(model, p)
    assert load_checkpoint(p)[1:] == (None, {})


def test_same_model_same_bytes(model, path, tmp_path):
    save(load(path), tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == path.read_bytes()


def test_not_finite_is_kept(model, path):
    name = next(iter(model.tensors))
    array = model.tensors[name].numpy()
    array.flat[0], array.flat[1] = np.nan, np.inf
    model.tensors[name].copy_from(array)
    save(model, path)
    same_bits(load(path).tensors, model.tensors)


def test_mode_and_links(model, tmp_path):
    old = os.umask(0o027)
    try:
        save(model, tmp_path / "real")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "real").stat().st_mode) == 0o640
    (tmp_path / "link").symlink_to("real")
    before = (tmp_path / "real").stat().st_ino
    save(model, tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").stat().st_ino != before


# -- wholeness --------------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["replace", "fsync", "write"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_failure_leaves_the_old_file(model, path, monkeypatch, call, error):
    before = path.read_bytes()

    def fail(*a):
        raise error

    if call == "write":
        import sentei.io.model_file as module

        real, count = np.asarray, iter(range(100))

        def asarray(x, *a, **k):  # the third tensor cannot be written
            return fail() if next(count) == 2 else real(x, *a, **k)

        monkeypatch.setattr(module.np, "asarray", asarray)
    else:
        monkeypatch.setattr(atomic.os, call, fail)
    with pytest.raises(type(error)):
        save(model, path)
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_full_disk(path):
    """A real write error: the process may not write more than 2000 bytes to a file."""
    before = path.read_bytes()
    code = (
        "import resource, sys; from sentei.io import load, save\n"
        "m = load(sys.argv[1]); resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))\n"
        "try: save(m, sys.argv[1])\n"
        "except OSError as e: print('refused', e.errno)"
    )
    out = subprocess.run(
        [sys.executable, "-c", code, os.fspath(path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert out.stdout.startswith("refused")
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_strays_of_dead_writers_go(model, path):
    dead = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"],
        capture_output=True,
        text=True,
        check=True,
    )
    stray = path.parent / f".{path.name}.{int(dead.stdout)}-0.tmp"
    alive = path.parent / f".{path.name}.{os.getppid()}-0.tmp"
    stray.write_bytes(b"half")
    alive.write_bytes(b"half")
    save(model, path)
    assert not stray.exists()
    assert alive.exists()


def test_refuses_meta_that_is_not_json(model, path):
    before = path.read_bytes()
    model.meta = {"x": object()}
    with pytest.raises(DataError, match="plain JSON"):
        save(model, path)
    model.meta = {"x": float("nan")}
    with pytest.raises(DataError, match="plain JSON"):
        save(model, path)
    assert path.read_bytes() == before


# -- hostile files ----------------------------------------------------------------------------


def test_missing(tmp_path):
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "no")
    with pytest.raises(DataError, match="must be a file"):
        load(tmp_path)


@pytest.mark.parametrize("cut", [0, 4, 8, 100, -1])
def test_truncated(path, cut):
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(DataError, match=r"m\.safetensors must be a whole safetensors file"):
        load(path)


@pytest.mark.parametrize(
    "head",
    [
        struct.pack("<Q", 1 << 62),
        struct.pack("<Q", 200_000_000),
        b"PK\3\4\0\0\0\0",
        b"\x80\4\x95\0\0\0\0\0",
    ],
)
def test_wrong_magic_and_oversized_header(path, head):
    path.write_bytes(head + path.read_bytes()[8:])
    with pytest.raises(DataError, match="whole safetensors file"):
        load(path)


def test_lying_header(path):
    raw = path.read_bytes()
    n = struct.unpack("<Q", raw[:8])[0]
    header = json.loads(raw[8 : 8 + n])
    name = next(k for k in header if k != "__metadata__")
    header[name]["shape"] = [1 << 40, 1 << 40]
    head = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(head)) + head + raw[8 + n :])
    with pytest.raises(DataError, match="whole safetensors file"):
        load(path)


def without(name):
    return lambda t: {k: v for k, v in t.items() if k != name}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without("fc1.weight"), r"must hold the tensor 'fc1\.weight'"),
        (
            lambda t: {**t, "extra": np.zeros(3, np.float32)},
            "only tensors of its graph, got 'extra'",
        ),
        (
            lambda t: {**t, "fc1.bias": t["fc1.bias"].astype(np.float64)},
            r"fc1\.bias must be float32.*got float64",
        ),
        (
            lambda t: {**t, "fc1.bias": t["fc1.bias"][:-1].copy()},
            r"of shape \(11,\) as its graph says.*\(10,\)",
        ),
        (lambda t: {**t, "fc1.bias": t["fc1.bias"].astype(np.float16)}, "must be one of.*got F16"),
        (lambda t: {**t, "optim/x": np.zeros((1, 1, 1, 1, 1), np.float32)}, "at most 4 axes"),
    ],
)
def test_tensors_that_do_not_fit(path, change, message):
    rewrite(path, lambda about: about, change(load_file(path)))
    with pytest.raises(DataError, match=message):
        load_checkpoint(path)


def put(*keys_and_value):
    *keys, value = keys_and_value

    def change(about):
        for k in keys[:-1]:
            about = about[k]
        about[keys[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: "{", "must be JSON"),
        (lambda a: "[" * 100_000, "must be JSON"),
        (lambda a: "3", "JSON object"),
        (put("format", 2), "format must be at most 1 for this version of sentei, got 2"),
        (put("format", "1"), "format must be a number from 1"),
        (put("format", True), "format must be a number"),
        (put("graph", None), "'graph' must be a JSON object"),
        (put("meta", []), "'meta' must be a JSON object"),
        (put("train", 3), "'train' must be a JSON object"),
        (put("graph", "nodes", 0, "op", "exec"), "sentei knows, got 'exec'"),
        (put("graph", "nodes", 0, "op", ["a"]), "must hold a network"),
        (put("graph", "nodes", 0, "inputs", ["x"]), "conv2d"),
        (put("graph", "nodes", 0, "attrs", {}), "fits together"),
        (put("graph", "nodes", 0, "attrs", "stride", [0, 0]), "fits together"),
        (put("graph", "nodes", 1, "name", "conv1"), "unique"),
        (put("graph", "outputs", []), "one output"),
        (put("graph", "outputs", ["nowhere"]), "outputs must name values"),
        (put("graph", "values", 0, "name", "y"), "fits together|input"),
        (put("graph", "values", 0, "shape", [-1, 0, 6, 2]), "input must be float32"),
        (put("graph", "values", 0, "shape", [5, 6, 6, 2]), "input must be float32"),
        (put("graph", "values", 0, "dtype", "object"), "input must be float32"),
        (put("graph", "values", 0, "shape", [1e400]), "must"),
    ],
)
def test_descriptions_that_do_not_fit(path, change, message):
    rewrite(path, change)
    with pytest.raises(DataError, match=message) as info:
        load(path)
    assert "m.safetensors" in str(info.value)


def test_another_safetensors_file(path):
    save_file({"a": np.zeros(3, np.float32)}, path)
    with pytest.raises(DataError, match="a file that sentei saved"):
        load(path)


@pytest.fixture(scope="module")
def raw(tmp_path_factory) -> bytes:
    p = tmp_path_factory.mktemp("io") / "m"
    save(toy_net(seed=1), p, {"step": 1}, {"w": Tensor.zeros((3,))})
    return p.read_bytes()


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_flipped_bytes_give_data_errors_only(raw, tmp_path, data):
    spoiled = bytearray(raw)
    n = struct.unpack("<Q", raw[:8])[0]
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, 8 + n + 8) | st.integers(0, len(raw) - 1))
        spoiled[at] = data.draw(st.integers(0, 255))
    p = tmp_path / "m"
    p.write_bytes(bytes(spoiled[: data.draw(st.just(len(raw)) | st.integers(0, len(raw)))]))
    with contextlib.suppress(DataError):
        load_checkpoint(p)
