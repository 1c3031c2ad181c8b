"""What the calls that provoke errors are made of."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

import sentei
from command import sentei as command
from devices import on
from sentei import _core, data, nn, ops, optim, prune, train
from sentei.nn import models
from toys import toy_data, toy_net

__all__ = [
    "BF16",
    "FILTER",
    "IMAGE",
    "Call",
    "bad_data",
    "blow_up",
    "compare_mnist",
    "cut_in_half",
    "early",
    "explode",
    "fit",
    "float_model",
    "full_folder",
    "inside",
    "layers",
    "missing_tier",
    "mnist",
    "npz",
    "of_another_program",
    "of_units",
    "on_two_devices",
    "overlapping",
    "picture_folder",
    "process",
    "prune_mnist",
    "raised",
    "said",
    "saved",
    "told",
    "unreachable",
    "with_model",
    "without",
]

Call = Callable[[Path], str]
IMAGE = np.ones((1, 8, 8, 3), np.float32)
FILTER = np.ones((2, 3, 3, 3), np.float32)


def told(make: Callable[..., Any], *args: Any, **kwargs: Any) -> str:
    """The sentence of the error that a call raises."""
    try:
        make(*args, **kwargs)
    except Exception as e:
        return str(e)
    raise AssertionError("nothing was raised")


def raised(make: Callable[[Path], Any]) -> Call:
    return lambda folder: told(make, folder)


def said(*words: object) -> Call:
    """What a command that fails says, in one line."""

    def call(folder: Path) -> str:
        result = command(*[str(w).replace("HERE", str(folder)) for w in words])
        assert result.code in (1, 2), result.out
        assert result.err.count("\n") == 1 and "Traceback" not in result.err, result.err
        return result.err.removeprefix("sentei: ").strip()

    return call


def layers(*of: Any, shape: tuple[int, ...] = (12, 12, 1)) -> Call:
    return raised(lambda _: nn.build(list(of), shape, seed=0))


def with_model(make: Callable[[Any], Any]) -> Call:
    return raised(lambda _: make(toy_net()))


def saved(folder: Path) -> Path:
    path = folder / "model.safetensors"
    sentei.save(toy_net(), path)
    return path


def cut_in_half(folder: Path) -> None:
    path = saved(folder)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    sentei.load(path)


def of_another_program(folder: Path) -> None:
    from safetensors.numpy import save_file

    save_file({"a": np.ones(3, np.float32)}, folder / "other.safetensors")
    sentei.load(folder / "other.safetensors")


def fit(*, regularizer: Any = None, optimizer: Any = None, loss: Any = None, **kwargs: Any) -> None:
    terms = [] if regularizer is None else [regularizer]
    t = train.Trainer(
        toy_net(),
        optimizer or optim.SGD(0.1),
        *([loss] if loss else []),
        **{"batch": 10, **kwargs},
        regularizers=terms,
    )
    t.steps(toy_data(), 1)


def blow_up(_: Path) -> None:
    t = train.Trainer(toy_net(), optim.SGD(1e30), batch=10)
    t.fit(toy_data(), epochs=3, progress="none")


def early(_: Path) -> None:
    t = train.Trainer(
        toy_net(), optim.SGD(0.1), batch=10, callbacks=[train.EarlyStopping(patience=1)]
    )
    t.fit(toy_data(), epochs=2, progress="none")


def npz(folder: Path, **arrays: Any) -> Path:
    np.savez(folder / "set.npz", **arrays)
    return folder / "set.npz"


def picture_folder(folder: Path, sizes: tuple[int, ...], damaged: bool = False) -> None:
    from extras import need

    need("PIL")
    from PIL import Image

    for kind in ("cat", "dog"):
        (folder / "p" / kind).mkdir(parents=True)
        for i, size in enumerate(sizes):
            Image.new("RGB", (size, size)).save(folder / "p" / kind / f"{i}.png")
    if damaged:
        (folder / "p" / "cat" / "9.png").write_bytes(b"no picture")
    data.load(str(folder / "p"))


def mnist(folder: Path, change: Callable[[bytes], bytes]) -> None:
    """MNIST's files with the training images changed: as they are, or what is in them."""
    from small_files import write_mnist

    write_mnist(folder, 20, 10)
    path = folder / "mnist" / "train-images-idx3-ubyte.gz"
    path.write_bytes(change(path.read_bytes()))
    data.load("mnist", data_dir=folder)


def inside(change: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    import gzip

    return lambda raw: gzip.compress(change(gzip.decompress(raw)))


def without(package: str, call: Call) -> Call:
    """As it is where an optional package is not installed."""

    def run(folder: Path) -> str:
        with mock.patch.dict(sys.modules, {package: None}):
            return call(folder)

    return run


def process(variable: str, value: str, code: str) -> Call:
    """What a new process says with a variable of the environment set."""

    def call(_: Path) -> str:
        path = os.pathsep.join(p for p in sys.path if p)
        env = {**os.environ, "PYTHONPATH": path, variable: value}
        got = subprocess.run(
            [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False
        )
        return got.stderr.strip().splitlines()[-1]

    return call


BF16 = (
    "import numpy as np; from sentei import ops; a = np.ones((64, 64), 'f4');"
    "ops.linear_forward(a, a, precision='bfloat16');"
    "x = np.ones((1, 8, 8, 32), 'f4'); w = np.ones((32, 3, 3, 32), 'f4');"
    "ops.conv2d_forward(x, w, precision='bfloat16')"
)


def bad_data(images: Any, labels: Any) -> Call:
    return raised(lambda _: data.Dataset(images, labels))


def of_units(folder: Path) -> str:
    return said("check", "units", saved(folder), "--data", "mnist-mini", "--layer", "conv9")(folder)


def prune_mnist(*words: str) -> Call:
    """`sentei prune` of a network for the digits in the package."""

    def call(folder: Path) -> str:
        path = folder / "m.safetensors"
        sentei.save(models.build("lenet5_prune", (28, 28, 1), classes=10), path)
        return said("prune", path, "--data", "mnist-mini", *words)(folder)

    return call


def compare_mnist(*words: str) -> Call:
    def call(folder: Path) -> str:
        return said(
            "compare", "lenet5_prune", "--data", "mnist-mini", "--run-dir", "HERE/c", *words
        )(folder)

    return call


def float_model(folder: Path) -> None:
    m = toy_net()
    m.predict(np.zeros((2, 12, 12, 1), np.float64))  # type: ignore[arg-type]


def overlapping() -> None:
    x = _core.Tensor.zeros((1, 8, 8, 3))
    w = _core.Tensor.from_numpy(np.ones((3, 3, 3, 3), np.float32))
    _core.conv2d_forward(x, w, None, x, None, (1, 1), (1, 1), (1, 1), False, "float32")


def missing_tier() -> str:
    """A tier that this build has not got."""
    info = _core.isa_info()
    return next(t for t in ("plain", "v4", "v3", "v2") if t not in info["built"])


def on_two_devices(_: Path) -> str:
    a = np.ones((2, 2), np.float32)
    with on("cusim") as name:
        return told(ops.add_forward, sentei.from_numpy(a).to(name), sentei.from_numpy(a))


def explode(*words: str) -> Call:
    """A command whose trainings all blow up: the last line of what it says."""

    def call(folder: Path) -> str:
        few = ["--data", "mnist-mini", "--set", "data.limit=300", "--epochs", "1", "--quiet"]
        result = command(*words, *few, "--run-dir", folder / "out")
        assert result.code == 1, result.err
        return result.err.strip().splitlines()[-1]

    return call


def full_folder(folder: Path) -> str:
    (folder / "run").mkdir()
    (folder / "run" / "mine.txt").write_text("keep")
    return said("demo", "--quick", "--run-dir", "HERE/run")(folder)


def unreachable(model: Any) -> None:
    prune.IterativePruner(model, prune.Target(flops="0.1%")).run()
