"""How to provoke the messages of docs/errors.md: every entry returns what a newcomer would read."""

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
from sentei import _core, data, device, init, losses, nn, ops, optim, prune, regularizers, train
from sentei.nn import models
from sentei.run import Runner
from toys import toy_data, toy_net

__all__ = ["CALLS"]

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


CALLS: dict[str, Call] = {
    # arrays and ops
    "<op>: x must be float32, got float64": raised(
        lambda _: ops.conv2d_forward(IMAGE.astype(np.float64), FILTER)
    ),
    "<op>: x must have shape ..., got ...": raised(lambda _: ops.conv2d_forward(IMAGE[0], FILTER)),
    "<op>: w must have shape ...": raised(
        lambda _: ops.conv2d_forward(np.ascontiguousarray(IMAGE.transpose(0, 3, 1, 2)), FILTER)
    ),
    "add_forward: b must be on ... as a is, got cpu": on_two_devices,
    "... must be C-contiguous (np.ascontiguousarray makes it so)": raised(
        lambda _: ops.conv2d_forward(IMAGE.transpose(0, 2, 1, 3)[:, ::2], FILTER)
    ),
    "<op>: y must not overlap x": raised(lambda _: overlapping()),
    "SENTEI_ISA: must be one of ...": process("SENTEI_ISA", "v9", "import sentei._core"),
    "SENTEI_ISA: the tier must be one that was built, got ...": process(
        "SENTEI_ISA", missing_tier(), "import sentei._core"
    ),
    "SENTEI_BF16: must be one of ...": process("SENTEI_BF16", "fast", BF16),
    "predict: images must ...": raised(float_model),
    "set_threads: n must be between 1 and 4096": raised(lambda _: device.set_threads(0)),
    # networks
    "Conv2d needs an input of shape (N, H, W, C)": layers(nn.Flatten(), nn.Conv2d(3, 3)),
    "Linear ... put Flatten() before it": layers(nn.Conv2d(3, 3), nn.Linear(10)),
    "build: input_shape must be given with layers": raised(lambda _: nn.build([nn.ReLU()])),
    "nn: layer names must be unique, got ... twice": layers(
        nn.Conv2d(3, 3, name="a"), nn.Conv2d(3, 3, name="a")
    ),
    "Sequential: layers must take one input": layers(nn.Add()),
    "models: name must be one of ...": raised(lambda _: models.build("lenet6", (28, 28, 1))),
    "init: name must be one of ...": raised(lambda _: init.get("kaimin")),
    "Runner: ... must be an output or in ... to be read after a run": with_model(
        lambda m: Runner(m.graph, m.tensors, 1).value(m.graph.nodes[0].outputs[0])
    ),
    # data
    "load: name must be one of ... (did you mean ...?)": raised(lambda _: data.load("mnist-min")),
    "load: ... needs data_dir": raised(lambda _: data.load("mnist")),
    "load: ... must lie in data_dir, got none of ...": raised(
        lambda folder: data.load("mnist", data_dir=folder)
    ),
    "... must be complete, got a truncated compressed file": raised(
        lambda folder: mnist(folder, lambda raw: raw[: len(raw) // 2])
    ),
    "... must hold ... bytes of data after its header": raised(
        lambda folder: mnist(folder, inside(lambda raw: raw[:-5]))
    ),
    "... must start with 0x...": raised(
        lambda folder: mnist(folder, inside(lambda raw: b"\x00\x00\x0d\x03" + raw[4:]))
    ),
    "Dataset: images must be uint8 or float32, got ...": bad_data(
        np.zeros((2, 4, 4, 1)), np.zeros(2, np.int64)
    ),
    "Dataset: images must have shape (N, H, W, C), got ...": bad_data(
        np.zeros((2, 4, 4), np.uint8), np.zeros(2, np.int64)
    ),
    "Dataset: images must be finite, got NaN or infinity": bad_data(
        np.full((2, 4, 4, 1), np.nan, np.float32), np.zeros(2, np.int64)
    ),
    "Dataset: labels must have one entry for each of the ... images": bad_data(
        np.zeros((2, 4, 4, 1), np.uint8), np.zeros(3, np.int64)
    ),
    "Dataset: labels must be int64 (classes) or float32 (targets), got ...": bad_data(
        np.zeros((2, 4, 4, 1), np.uint8), np.zeros(2, np.int32)
    ),
    "Dataset: labels must lie in [0, ...), got ...": bad_data(
        np.zeros((2, 4, 4, 1), np.uint8), np.array([-1, 0])
    ),
    "image folders need Pillow": without(
        "PIL",
        raised(
            lambda folder: ((folder / "p" / "a").mkdir(parents=True), data.load(str(folder / "p")))
        ),
    ),
    "load_folder: ... must have the size of the first image ...": raised(
        lambda folder: picture_folder(folder, (8, 9))
    ),
    "must be a readable image": raised(lambda folder: picture_folder(folder, (8, 8), True)),
    "split: ratios must leave an image in every part": raised(
        lambda _: toy_data(4).split((1, 1, 1, 1, 1, 1, 1, 1))
    ),
    # training
    "<loss>: labels must lie in [0, ...), the outputs of the network, got ...": raised(
        lambda _: train.Trainer(toy_net(), optim.SGD(0.1), batch=10).steps(toy_data(classes=9), 1)
    ),
    "train: data must come in mini-batches of ... samples, got ...": raised(
        lambda _: fit(batch=1000)
    ),
    "train: numbers must stay finite, but ...": raised(blow_up),
    "SemiSync: layers must name some of ...": raised(
        lambda _: fit(optimizer=optim.SemiSync(optim.SGD(0.1), layers="nothing*"))
    ),
    "LogActivity: layers must ...": raised(
        lambda _: fit(regularizer=regularizers.LogActivity(0.1, layers="nothing*"))
    ),
    "Discriminant: the loss must take class labels": raised(
        lambda _: fit(regularizer=regularizers.Discriminant(0.1), loss=losses.Squared())
    ),
    "monitor must be one of ... (fit needs val)": raised(early),
    "Trainer: scores must be left out with LBFGS": raised(
        lambda _: fit(optimizer=optim.LBFGS(), scores=("conv1",))
    ),
    # checks and searches
    "check: layer must be one of ...": said(
        "check", "units", "lenet5_prune", "--data", "mnist-mini", "--layer", "conv9"
    ),
    "check: units of ... must lie in [0, ...), got ...": said(
        "check",
        "units",
        "lenet5_prune",
        "--data",
        "mnist-mini",
        "--layer",
        "conv1",
        "--unit",
        "99",
    ),
    "check: pictures need Pillow": without(
        "PIL",
        said(
            "check",
            "units",
            "lenet5_prune",
            "--data",
            "mnist-mini",
            "--layer",
            "conv1",
            "--quiet",
            "--out",
            "u.html",
        ),
    ),
    "search: Optuna is needed": without(
        "optuna", said("search", "--param", "train.lr=0.1,0.2", "--run-dir", "HERE/s")
    ),
    "search: ... must be low..high, log:low..high, ...": said(
        "search", "--param", "train.lr=low..high", "--run-dir", "HERE/s"
    ),
    "every trial failed": explode(
        "search",
        "--param",
        "train.lr=1e30,1e31",
        "--method",
        "grid",
        "--network",
        "lenet5_prune",
    ),
    "... trials failed, the first: ...": explode(
        "compare",
        "lenet5_prune",
        "--flops",
        "50%",
        "--criteria",
        "norm",
        "--baselines",
        "uniform",
        "--seeds",
        "1",
        "--set",
        "train.lr=1e30",
    ),
    "search: ... must go from a lower to a higher number, got ...": said(
        "search", "--param", "train.lr=0.5..0.1", "--run-dir", "HERE/s"
    ),
    # tables
    "reproduce: NAME": said("reproduce", "t9.9"),
    "reproduce: scale must lie in (0, 1]": said("reproduce", "t2.6", "--scale", "2"),
    "seeds must lie in [1, 1000]": said("reproduce", "t2.6", "--seeds", "0"),
    # pruning
    "Target: exactly one of flops, ... must be given (or max_drop)": raised(
        lambda _: prune.Target()
    ),
    "Target: flops must be an absolute number or a percentage, got 0.3; write '30%' ...": raised(
        lambda _: prune.Target(flops=0.3)
    ),
    "prune: the target must be reachable, but ...": with_model(unreachable),
    "pruning: ignore must match a layer": with_model(
        lambda m: prune.preview(m, prune.Target(flops="50%"), ignore=("conv9",))
    ),
    "score: images must be given for ...": with_model(
        lambda m: prune.IterativePruner(m, prune.Target(flops="50%")).run()
    ),
    "score: labels must be given for ..., whose gradients are those of a loss": with_model(
        lambda m: prune.IterativePruner(
            m, prune.Target(flops="50%"), score_images=toy_data().as_float().images
        ).run()
    ),
    "trust: images must be at least 2": with_model(
        lambda m: prune.ranking_trust(
            m,
            prune.pruning_map(m.graph),
            "robust",
            images=toy_data().as_float().images[:1],
            labels=toy_data().labels[:1],
        )
    ),
    "gates: layers must name some of ...": with_model(
        lambda m: prune.attach_gates(m, "sigmoid", layers="nothing*")
    ),
    "Closing: threshold must be in [0, 1) of h": raised(lambda _: prune.Closing(threshold=2.0)),
    "compare: flops must remove something, got '100%'": compare_mnist("--flops", "100%"),
    "the target must be reachable, but ...": compare_mnist("--flops", "0.1%"),
    "compare: criteria must be one of ..., got 'taylor'": compare_mnist("--criteria", "taylor"),
    # on the command line
    "no such command": said("fly"),
    "no such option": said("train", "--fast"),
    "invalid value for ...": said("train", "--epochs", "many"),
    "missing argument": said("eval"),
    "there must be a file ...": said("eval", "nowhere.safetensors"),
    "model.file must be given": said("prune", "--flops", "30%"),
    "exactly one of prune.flops": prune_mnist(
        "--flops", "30%", "--macs", "30%", "--set", "data.standardize=fit"
    ),
    "run.device must be 'auto', 'cpu' or 'cuda'": said("train", "--device", "gpu"),
    "run folder: ... must hold ...": said("resume", "nowhere"),
    "batch must be at most ...": said(
        "train", "--data", "mnist-mini", "--set", "train.batch=100000"
    ),
    # files and settings
    "load: ... must be a whole safetensors file": raised(cut_in_half),
    "it has no 'sentei' entry": raised(of_another_program),
    "config: there is no setting ...": said("train", "--set", "train.learning_rate=1"),
    "config: train.epochs must be a whole number, got text": said(
        "train", "--set", 'train.epochs="5"'
    ),
    "run folder: ... must be new or empty": full_folder,
    "train: precision must be float32, precise, fast or bfloat16 on cpu, got tf32": said(
        "train", "--device", "cpu", "--precision", "tf32"
    ),
}
