"""A student that learns from a teacher: the loss by hand, training, resume, refusals."""

from __future__ import annotations

import numpy as np
import pytest

from networks import tensors_equal
from reference import losses as ref
from sentei import losses, nn, optim, train
from sentei.data import load
from sentei.describe import described, from_description
from sentei.errors import DataError, ShapeError


@pytest.fixture(scope="module")
def digits():
    return load("mnist-mini")[0].subset(range(200))


def network(shape, width=4, seed=0, classes=10):
    return nn.Sequential(
        nn.Conv2d(width, 5, padding=2), nn.BatchNorm(), nn.ReLU(), nn.MaxPool2d(4),
        nn.Flatten(), nn.Linear(classes),
    ).build(shape, seed=seed)  # fmt: skip


def student(digits, teacher, optimizer=None, loss=None):
    return train.Trainer(
        network(digits.shape, seed=3), optimizer or optim.SGD(0.05, momentum=0.9),
        loss or losses.Distillation(0.6, 3.0), batch=50, seed=1, teacher=teacher,
    )  # fmt: skip


@pytest.fixture(scope="module")
def teacher(digits):
    model = network(digits.shape, 8)
    train.Trainer(model, optim.SGD(0.05), batch=50).fit(digits, epochs=2, progress="none")
    return model


def test_the_first_loss_by_hand(digits, teacher):
    from sentei.data import Loader

    loader = Loader(digits, 50, seed=1)
    x, labels = loader.batch(0, 0)
    before = teacher.predict(x)
    trainer = student(digits, teacher)
    found = {}
    plain = train.Trainer(network(digits.shape, seed=3), optim.SGD(1e-9), batch=50, seed=1)
    found["ce"] = plain.steps(loader, 1)["loss"]
    found["kd"] = trainer.steps(loader, 1)["loss"]
    # the logits of a training step are those of batch statistics: take them from a graph
    from sentei.passes import training
    from sentei.run import Runner

    fresh = network(digits.shape, seed=3)
    g = training(fresh.graph)
    r = Runner(g, {k: t for k, t in fresh.tensors.items() if k in g.values}, 50)
    r.run(x=x)
    z = r.fetch(fresh.output)
    want, _ = ref.distillation(z, labels, before, 0.6, 3.0)
    assert found["kd"] == pytest.approx(want.mean(), rel=1e-5)
    assert found["ce"] == pytest.approx(ref.softmax_cross_entropy(z, labels)[0].mean(), rel=1e-5)


def test_a_student_comes_nearer_to_its_teacher(digits, teacher):
    """With all the weight on the teacher the loss is the divergence; it falls with no label's help."""
    trainer = student(digits, teacher, loss=losses.Distillation(1.0, 2.0))
    rows = trainer.fit(digits, epochs=6, progress="none")
    assert rows[-1]["loss"] < rows[0]["loss"] / 2


def test_the_teacher_is_frozen_when_given(digits, teacher):
    mine = teacher.copy()
    a, b = student(digits, mine), student(digits, teacher)
    for t in mine.tensors.values():
        t.copy_from(np.zeros(t.shape, t.dtype))
    assert a.steps(digits, 3) == b.steps(digits, 3)


def test_lbfgs_learns_from_a_teacher(digits, teacher):
    trainer = student(digits, teacher, optim.LBFGS(chunk=25))
    first = trainer.steps(digits, 1)["loss"]
    assert trainer.steps(digits, 5)["loss"] < first


def test_resumed_is_never_stopped(digits, teacher, tmp_path):
    whole = student(digits, teacher)
    whole.steps(digits, 9)
    half = student(digits, teacher)
    half.steps(digits, 5)
    file = half.save_checkpoint(tmp_path / "half.safetensors")
    again = train.Trainer.resume(file, teacher=teacher)
    assert again.loss == losses.Distillation(0.6, 3.0)
    again.steps(digits, 4)
    assert tensors_equal(again.model.tensors, whole.model.tensors)
    with pytest.raises(DataError, match="must fit together: Trainer: teacher must be given"):
        train.Trainer.resume(file)


def test_evaluation_needs_no_teacher(digits, teacher):
    trainer = student(digits, teacher)
    want = train.evaluate(trainer.model, digits, losses.CrossEntropy())
    assert trainer.evaluate(digits) == want


def test_refuses(digits, teacher):
    with pytest.raises(DataError, match="teacher must be given with the loss Distillation"):
        student(digits, None)
    with pytest.raises(DataError, match="teacher must be left out with the loss CrossEntropy"):
        student(digits, teacher, loss=losses.CrossEntropy())
    with pytest.raises(ShapeError, match="teacher must have 10 outputs, got 7"):
        student(digits, network(digits.shape, classes=7))
    with pytest.raises(ShapeError, match=r"teacher must take images of \(28, 28, 1\)"):
        student(digits, network((14, 14, 1)))
    for settings, word in [
        ((0.0, 4.0), "alpha"),
        ((1.5, 4.0), "alpha"),
        ((0.5, 0.0), "temperature"),
    ]:
        with pytest.raises(ValueError, match=f"Distillation: {word} must"):
            losses.Distillation(*settings)


def test_described_and_back():
    loss = losses.Distillation(0.3, 2.5)
    assert from_description(described(loss), losses.KINDS) == loss
