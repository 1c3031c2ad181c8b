#!/usr/bin/env python3
"""A ResNet-20 trained in PyTorch, read, pruned, written for ONNX Runtime: accuracy at each step, latency.

usage: from_pytorch.py --data FOLDER [--scale small] [--work FOLDER]
       from_pytorch.py --time [--record FOLDER]
The first call trains on CIFAR-10 in PyTorch, reads the module with sentei.io.from_torch, prunes it to the
target with retraining and writes both networks as ONNX; what `work` has already is not made again. The
second one times the files in turns and writes the record, of which docs/how-to/from-pytorch.md is made
with --page.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from harness import RESULTS, interleaved, record
from peers import torch_models
from sentei import _core, io, optim
from sentei.data import Dataset, Loader, RandomCrop, RandomFlip, Standardize, load
from sentei.model import Model
from sentei.prune import IterativePruner, PruneStep, Target
from sentei.train import Trainer

NAME = "from_pytorch"
PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "from-pytorch.md"
BEGIN, END = "<!-- record -->", "<!-- end -->"
BATCHES = (1, 100)


@dataclass(frozen=True)
class Scale:
    """images, test_images: the first so many of CIFAR-10. epochs, lr: of the training in PyTorch. per_round,
    round_steps, round_lr: channels that leave at a time, and the training steps after each. retrain_epochs,
    retrain_lr: after the last. score_images: seen by the criterion. target: share of FLOPs that remains.
    """

    images: int = 10_000
    test_images: int = 5_000
    batch: int = 100
    epochs: int = 5
    lr: float = 0.1
    target: str = "40%"
    criterion: str = "robust"
    per_round: int = 12
    round_steps: int = 8
    round_lr: float = 0.01
    retrain_epochs: int = 3
    retrain_lr: float = 0.05
    score_images: int = 200
    samples: int = 40


SCALES = {
    "small": Scale(),
    "tiny": Scale(
        images=60, test_images=40, batch=20, epochs=1, target="70%", criterion="l1_std", per_round=64,
        round_steps=1, retrain_epochs=1, score_images=20, samples=2,
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Images:
    train: Dataset
    test: Dataset
    standardize: Standardize

    def loader(self, s: Scale, seed: int) -> Loader:
        return Loader(
            self.train, s.batch, shuffle=True, seed=seed, drop_last=True,
            standardize=self.standardize, transforms=(RandomCrop(4), RandomFlip()),
        )  # fmt: skip

    def tested(self) -> Iterator[tuple[NDArray[np.float32], NDArray[Any]]]:
        for i in range(0, len(self.test), 100):
            part = slice(i, i + 100)
            yield self.standardize.apply(self.test.images[part]), self.test.labels[part]


def images(s: Scale, folder: str) -> Images:
    train, test = load("cifar10", folder)
    train = train.subset(range(min(s.images, len(train))))
    test = test.subset(range(min(s.test_images, len(test))))
    return Images(train, test, Standardize.fit(train))


def accuracy(predict: Callable[[NDArray[np.float32]], NDArray[Any]], data: Images) -> float:
    """Share of the test images that logits (N, K) for images (N, H, W, C) get right."""
    return float(np.concatenate([predict(x).argmax(1) == t for x, t in data.tested()]).mean())


def nchw(x: NDArray[np.float32]) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2)))


def said(net: torch.nn.Module) -> Callable[[NDArray[np.float32]], NDArray[Any]]:
    def predict(x: NDArray[np.float32]) -> NDArray[Any]:
        with torch.inference_mode():
            return net(nchw(x)).numpy()  # type: ignore[no-any-return]

    return predict


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


# -- the steps -------------------------------------------------------------------------------------
def trained(s: Scale, data: Images, path: Path, seed: int) -> torch.nn.Module:
    """ResNet-20 trained in PyTorch: SGD with momentum, step size along a cosine, crops and mirrors."""
    from safetensors.torch import load_file, save_file

    torch.manual_seed(seed)
    net = torch_models.resnet20()
    if path.is_file():
        net.load_state_dict(load_file(path))
        return net.eval()
    loader = data.loader(s, seed)
    sgd = torch.optim.SGD(net.parameters(), s.lr, momentum=0.9, weight_decay=5e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(sgd, s.epochs * len(loader))
    for epoch in range(s.epochs):
        begun, total = time.perf_counter(), 0.0
        net.train()
        for x, labels in loader:
            loss = F.cross_entropy(net(nchw(x)), torch.from_numpy(labels))
            sgd.zero_grad(set_to_none=True)
            loss.backward()
            sgd.step()
            schedule.step()
            total += float(loss.detach())
        say(
            f"PyTorch, epoch {epoch + 1} of {s.epochs}: loss {total / len(loader):.3f}, "
            f"{time.perf_counter() - begun:.0f} s"
        )
    save_file(net.state_dict(), path)
    return net.eval()


def pruned(s: Scale, data: Images, start: Model, seed: int) -> tuple[Model, dict[str, Any]]:
    """Cut to the target with some steps after each round, then retrain."""
    loader = data.loader(s, seed)
    chosen = np.sort(
        np.random.default_rng([seed, 1]).permutation(len(data.train))[: s.score_images]
    )
    part = data.train.subset(chosen)
    sgd = optim.SGD(s.round_lr, momentum=0.9, weight_decay=5e-4)
    trainer = Trainer(start.copy(), sgd, batch=s.batch, seed=seed)
    whole = start.costs().macs

    def told(step: PruneStep, *_: object) -> None:
        if step.step % s.per_round == 0:
            say(f"pruning: {step.step} channels gone, {step.macs / whole:.1%} of FLOPs left")

    begun = time.process_time()
    result = IterativePruner(
        trainer.model, Target(flops=s.target), s.criterion, trainer=trainer, train=loader,
        score_images=data.standardize.apply(part.images), score_labels=part.labels,
        retrain_steps=s.round_steps, per_round=s.per_round, on_step=told,
    ).run()  # fmt: skip
    cut, cpu = accuracy(result.model.predictor(100), data), time.process_time() - begun
    begun = time.process_time()
    sgd = optim.SGD(s.retrain_lr, momentum=0.9, weight_decay=5e-4)
    schedule = optim.Cosine(s.retrain_epochs * len(loader), per="step")
    again = Trainer(result.model, sgd, batch=s.batch, seed=seed + 1, schedule=schedule)
    again.fit(loader, epochs=s.retrain_epochs, progress="plain")
    about = {
        "channels": len(result.steps),
        "masked_against_pruned": result.max_abs_diff,
        "cut_accuracy": cut,
        "cpu_seconds": {"prune": cpu, "retrain": time.process_time() - begun},
    }
    return again.model, about


def run(args: argparse.Namespace, s: Scale) -> None:
    """All steps but the timing; what came of each goes into result.json."""
    args.work.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(args.threads)
    _core.set_threads(args.threads)
    data = images(s, args.data)
    net = trained(s, data, args.work / "torch.safetensors", args.seed)
    result: dict[str, Any] = {
        "scale": args.scale,
        "seed": args.seed,
        "settings": asdict(s),
        "versions": {"torch": torch.__version__},
    }
    steps = {"torch": accuracy(said(net), data)}
    say(f"in PyTorch: {steps['torch']:.2%}")

    x = next(data.tested())[0]
    begun = time.perf_counter()
    model = io.from_torch(net, nchw(x[:2]))
    result["reading_seconds"] = time.perf_counter() - begun
    steps["imported"] = accuracy(model.predictor(100), data)
    say(f"read: {steps['imported']:.2%}")
    theirs = said(net)(x)
    result["difference_imported"] = relative(model.predict(x), theirs)

    path = args.work / "pruned.safetensors"
    if path.is_file():
        smaller = io.load(path)
        about = smaller.meta["about"]
    else:
        smaller, about = pruned(s, data, model, args.seed)
        smaller.meta["about"] = about
        io.save(smaller, path)
    result |= {k: v for k, v in about.items() if k != "cut_accuracy"}
    steps["cut"] = about["cut_accuracy"]
    steps["retrained"] = accuracy(smaller.predictor(100), data)
    say(f"cut: {steps['cut']:.2%}, retrained: {steps['retrained']:.2%}")
    for name, m in (("whole", model), ("pruned", smaller)):
        cost = m.costs()
        file = args.work / f"{name}.onnx"
        io.export_onnx(m, file)
        result[name] = {"macs": cost.macs, "params": cost.params, "onnx_bytes": file.stat().st_size}
    exported(net, x, args.work / "torch.onnx")
    session = runtime(args.work / "pruned.onnx", args.threads)
    steps["onnx"] = accuracy(session, data)
    result["difference_onnx"] = relative(session(x), smaller.predict(x))
    say(f"in ONNX Runtime: {steps['onnx']:.2%}")
    result["accuracy"] = steps
    (args.work / "result.json").write_text(json.dumps(result))
    np.save(args.work / "images.npy", x)


def relative(got: NDArray[Any], want: NDArray[Any]) -> float:
    """Largest difference, in shares of the largest number wanted."""
    return float(np.abs(got - want).max() / np.abs(want).max())


def exported(net: torch.nn.Module, x: NDArray[np.float32], path: Path) -> None:
    """The untouched network by PyTorch's exporter alone, which folds batch norms."""
    batch = torch.export.Dim.DYNAMIC
    program = torch.onnx.export(
        net, (nchw(x[:2]),), dynamo=True, verbose=False, dynamic_shapes=({0: batch},)
    )
    assert program is not None
    program.save(path)


def runtime(path: Path, threads: int) -> Callable[[NDArray[np.float32]], NDArray[Any]]:
    """ONNX Runtime on a file; takes images (N, H, W, C)."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def predict(x: NDArray[np.float32]) -> NDArray[Any]:
        return session.run(None, {name: np.ascontiguousarray(x.transpose(0, 3, 1, 2))})[0]  # type: ignore[no-any-return]

    return predict


# -- time, and the page ----------------------------------------------------------------------------
def timed(args: argparse.Namespace) -> dict[str, Any]:
    """Milliseconds in ONNX Runtime, arms in turns."""
    import onnxruntime

    result = json.loads((args.work / "result.json").read_text())
    x = np.load(args.work / "images.npy")
    arms: dict[str, Callable[[], object]] = {}
    for name in ("torch", "whole", "pruned"):
        predict = runtime(args.work / f"{name}.onnx", args.threads)
        for n in BATCHES:
            part = x[:n]
            arms[f"{name} {n}"] = lambda predict=predict, part=part: predict(part)  # type: ignore[misc]
    found = interleaved(arms, result["settings"]["samples"], at_least_ms=5.0)
    result["milliseconds"] = {k: {p: round(v, 4) for p, v in t.items()} for k, t in found.items()}
    result["versions"]["onnxruntime"] = onnxruntime.__version__
    return dict(result)


def page_text(r: dict[str, Any], text: str) -> str:
    """The how-to with this record between its marks."""
    s, a, ms = r["settings"], r["accuracy"], r["milliseconds"]
    whole, small = r["whole"], r["pruned"]
    rows = [
        ("trained in PyTorch", a["torch"], whole, "torch"),
        ("read by `from_torch`", a["imported"], whole, "whole"),
        ("pruned, last cut", a["cut"], small, None),
        ("retrained", a["retrained"], small, None),
        ("exported, in ONNX Runtime", a["onnx"], small, "pruned"),
    ]
    lines = [
        "| step | accuracy | MACs | parameters | 1 image | 100 images |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for label, share, cost, arm in rows:
        times = (
            ["", ""] if arm is None else [f"{ms[f'{arm} {n}']['median']:.2f} ms" for n in BATCHES]
        )
        lines.append(
            f"| {label} | {share:.2%} | {cost['macs']:,} | {cost['params']:,} | {times[0]} | {times[1]} |"
        )
    ratios = [ms[f"torch {n}"]["median"] / ms[f"pruned {n}"]["median"] for n in BATCHES]
    v = r["versions"]
    left = small["macs"] / whole["macs"]
    lines += [
        "",
        f"ResNet-20 on the first {s['images']:,} images of CIFAR-10, {s['epochs']} epochs in PyTorch "
        f"{v['torch'].split('+')[0]}; pruned to {left:.1%} of the FLOPs by `{s['criterion']}`, "
        f"{s['per_round']} channels and {s['round_steps']} steps a round, then {s['retrain_epochs']} epochs; "
        f"accuracy on {s['test_images']:,} test images, one seed, last epoch. That is a fraction of the "
        "training that papers give this network: it was far from done, and more training is the likely "
        "reason why accuracy ends above where it began; no whole network was trained as long to compare.",
        "",
        f"Times: medians of {ms['pruned 1']['samples']} turns in ONNX Runtime {v['onnxruntime']}, "
        f"{r['machine']['threads']} threads of a {r['machine']['cpu']}; in the first row the file of "
        "PyTorch's own exporter, in the others that of `export_onnx`. The pruned network takes "
        f"1/{ratios[0]:.2f} of the time of the first row for one image, and 1/{ratios[1]:.2f} for a hundred. "
        "Largest relative difference between the outputs of PyTorch and of the network that was read: "
        f"{r['difference_imported']:.1e}; between sentei and ONNX Runtime: {r['difference_onnx']:.1e}.",
    ]
    head, rest = text.split(BEGIN, 1)
    return f"{head}{BEGIN}\n" + "\n".join(lines) + f"\n{END}{rest.split(END, 1)[1]}"


def newest(folder: str) -> dict[str, Any]:
    """The last line of the record."""
    return dict(json.loads((RESULTS / folder / f"{NAME}.jsonl").read_text().splitlines()[-1]))


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--data", metavar="FOLDER", help="holds CIFAR-10 (binary version)")
    p.add_argument("--scale", choices=SCALES, default="small")
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--threads", type=int, default=_core.threads())
    p.add_argument("--work", type=Path, default=Path("runs/from_pytorch"))
    p.add_argument("--time", action="store_true", help="time the files in work, write the record")
    p.add_argument("--record", default="new", metavar="FOLDER", help="bench/results/FOLDER")
    p.add_argument("--page", action="store_true", help="put the record into the how-to")
    args = p.parse_args()
    if args.time:
        _core.set_threads(args.threads)
        print(record(args.record, NAME, timed(args)))
    elif args.page:
        PAGE.write_text(page_text(newest(args.record), PAGE.read_text()))
    elif args.data:
        run(args, SCALES[args.scale])
    else:
        p.error("--data must be given, or --time, or --page")


if __name__ == "__main__":
    main()
