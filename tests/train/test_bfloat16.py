"""Training in bfloat16 on the CPU: as accurate as float32, and of the same bits on any number of threads."""

from __future__ import annotations

import numpy as np
import pytest

import sentei
from sentei import _core, optim, train
from sentei.model import Model
from sentei.nn import models

SEEDS = (0, 1, 2)


@pytest.fixture(scope="module")
def images():
    training, test = sentei.data.load("mnist-mini")
    return training.subset(range(2000)), test.subset(range(1000))


def trained(images, precision: str, seed: int, epochs: int = 2) -> Model:
    model = models.build("lenet5_prune", (28, 28, 1), classes=10, seed=seed)
    sgd = optim.SGD(lr=0.02, momentum=0.9)
    trainer = train.Trainer(model, sgd, batch=100, seed=seed, precision=precision)
    loader = sentei.data.Loader(images[0], 100, shuffle=True, drop_last=True, seed=seed)
    trainer.fit(loader, epochs=epochs, progress="none")
    return model


def accuracy(model: Model, images, precision: str = "float32") -> float:
    outputs = model.predictor(100, precision=precision)(images[1].as_float().images)
    return float((outputs.argmax(1) == images[1].labels).mean())


def test_as_accurate_as_float32(images):
    found = {}
    for precision in ("float32", "bfloat16"):
        nets = [trained(images, precision, seed) for seed in SEEDS]
        found[precision] = np.mean([accuracy(net, images) for net in nets])
        rounded = np.mean([accuracy(net, images, "bfloat16") for net in nets])
        assert abs(rounded - found[precision]) <= 0.005, "inference in bfloat16"
    assert found["float32"] > 0.85 and found["bfloat16"] > found["float32"] - 0.02, found


def test_same_bits_on_any_number_of_threads(images, threads):
    few = (images[0].subset(range(300)), images[1])
    found = []
    for n in (1, 2, 3):
        _core.set_threads(n)
        model = trained(few, "bfloat16", 0, epochs=1)
        found.append(b"".join(t.numpy().tobytes() for _, t in sorted(model.tensors.items())))
    assert found[0] == found[1] == found[2]
    _core.set_threads(2)
    model = trained(few, "float32", 0, epochs=1)
    assert found[0] != b"".join(t.numpy().tobytes() for _, t in sorted(model.tensors.items()))
