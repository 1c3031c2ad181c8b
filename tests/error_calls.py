"""How to provoke the messages of docs/errors.md: every entry returns what a newcomer would read."""

from __future__ import annotations

import os
from pathlib import Path
from unittest import mock

import numpy as np

from error_helpers import (
    BF16,
    FILTER,
    IMAGE,
    Call,
    bad_data,
    blow_up,
    compare_mnist,
    cut_in_half,
    early,
    explode,
    fit,
    float_model,
    full_folder,
    inside,
    layers,
    missing_tier,
    mnist,
    of_another_program,
    on_two_devices,
    overlapping,
    picture_folder,
    process,
    prune_mnist,
    raised,
    said,
    unreachable,
    with_model,
    without,
)
from sentei import data, device, init, losses, nn, ops, optim, prune, regularizers, train
from sentei import distributed as sd
from sentei.distributed import mpi
from sentei.distributed.engine import current
from sentei.distributed.objective import checked
from sentei.distributed.replicate import DataParallel
from sentei.nn import models
from sentei.run import Runner
from toys import toy_data, toy_net

__all__ = ["CALLS"]


def under_a_launcher(_: Path) -> None:
    with mock.patch.dict(os.environ, {"PMI_RANK": "0", "PMI_SIZE": "2"}):
        mpi.comm.__wrapped__()


def outside(_: Path) -> None:
    with mock.patch("sentei.distributed.engine._current", []):
        current()


def two_ranks() -> DataParallel:
    world = DataParallel.__new__(DataParallel)  # to check settings needs no MPI
    world.size = 2
    return world


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
    "SENTEI_NUM_THREADS: must be a whole number from 1 to 4096": process(
        "SENTEI_NUM_THREADS", "two", "from sentei import _core; _core.threads()"
    ),
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
    # on several machines
    'cluster: address must be "host:port"': raised(lambda _: sd.cluster("nowhere").__enter__()),
    "cluster: Ray must be installed": without("ray", raised(lambda _: sd.cluster().__enter__())),
    "distributed: a cluster must be open": raised(outside),
    "distributed: loss_grad must give a contiguous float32 gradient": raised(
        lambda _: checked(2, (0.0, np.zeros(2)), "a mini-batch")
    ),
    "mpi: mpi4py and an MPI library are needed": without("mpi4py", raised(under_a_launcher)),
    "data_parallel: optimizer must make one exchange a step": raised(
        lambda _: two_ranks().check(100, optim.LBFGS(), [], ())
    ),
    "data_parallel: scores must be left out on several ranks": raised(
        lambda _: two_ranks().check(100, optim.SGD(0.1), [], ("conv1",))
    ),
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
