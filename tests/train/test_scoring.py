"""Scores gathered by training steps: what they are, resuming, pruning by them."""

from __future__ import annotations

import numpy as np
import pytest

from helpers import assert_close
from sentei import nn, optim
from sentei.errors import DataError
from sentei.losses import CrossEntropy
from sentei.passes import grad
from sentei.prune import IterativePruner, Target, importance, pruning_map
from sentei.prune.surgery import remove
from sentei.run import Runner
from sentei.train import Trainer
from toys import same_bits, toy_data, toy_net
from train_settings import OPTIMIZERS, everything

LAYERS = ("conv1", "conv2", "fc1")
POINTS = {"conv1": "relu1", "conv2": "relu2", "fc1": "relu3"}


def trainer(**kwargs):
    return Trainer(toy_net(), OPTIMIZERS["momentum"], batch=20, seed=3, scores=LAYERS, **kwargs)


def watched(steps):
    """Per layer (steps, C): the batch's sum of x . g at each step, from the maps, float64."""
    model = toy_net()
    t = Trainer(model, OPTIMIZERS["momentum"], batch=20, seed=3)
    g = model.graph.copy()
    loss = CrossEntropy().emit(g, model.output).loss
    g, grads = grad(g, loss, [*g.by_role("param"), *POINTS.values()])
    kept = [*POINTS.values(), *(grads[p] for p in POINTS.values())]
    found = {layer: [] for layer in LAYERS}
    for _ in range(steps):
        before = model.copy()  # its running statistics move in the look at it
        look = Runner(g, before.tensors, 20, keep=kept)
        feed = t._feed_of(DATA)
        feeds = t._feeds(feed.batch(t.epoch, t.cursor))
        look.run(**{k: v for k, v in feeds.items() if k in look.inputs})
        for layer, p in POINTS.items():
            x, dx = (look.fetch(v).astype(np.float64) for v in (p, grads[p]))
            found[layer].append((x * dx).reshape(-1, x.shape[-1]).sum(0))
        t.steps(DATA, 1)
    return {k: np.stack(v) for k, v in found.items()}


DATA = toy_data()


@pytest.fixture(scope="module")
def sums():
    return watched(4)


@pytest.mark.parametrize("name", ["first", "oracle"])
def test_they_are_means_over_steps(name, sums):
    t = trainer()
    assert t.scored_steps == 0
    t.steps(DATA, 4)
    assert t.scored_steps == 4
    for s in t.scores(name, normalize=None):
        v = sums[s.layer]
        want = -v.mean(0) if name == "first" else np.abs(v.mean(0))
        scale = float(np.abs(v).max())
        assert_close(s.raw, want, 1000, scale)
        assert_close(s.standard_error, v.std(0, ddof=1) / 2, 1000, scale)
    if name == "oracle":
        for s in t.scores(name, normalize=0.5):
            np.testing.assert_array_equal(s.values, importance.normalize(name, s.raw, 0.5))


def test_they_begin_anew_when_told(sums):
    t = trainer()
    t.steps(DATA, 3)
    t.reset_scores()
    with pytest.raises(DataError, match="must have made a step, got none"):
        t.scores()
    t.steps(DATA, 1)
    for s in t.scores("first", normalize=None):
        assert_close(s.raw, -sums[s.layer][3], 1000, float(np.abs(sums[s.layer]).max()))


def test_refusals():
    with pytest.raises(ValueError, match="name must be first or oracle, got 'fisher'"):
        trainer().scores("fisher")
    plain = Trainer(toy_net(), OPTIMIZERS["momentum"], batch=20)
    plain.steps(DATA, 1)
    assert plain.scored_steps == 0
    with pytest.raises(DataError, match="a trainer with `scores` must have made a step"):
        plain.scores()


def test_training_keeps_its_bits():
    plain = Trainer(toy_net(), OPTIMIZERS["momentum"], batch=20, seed=3)
    t = trainer()
    plain.steps(DATA, 5)
    t.steps(DATA, 5)
    same_bits(plain.model.tensors, t.model.tensors)


def test_resumed_is_never_stopped(tmp_path):
    whole, first = trainer(), trainer()
    for t in (whole, first):
        t.steps(DATA, 2)
        t.reset_scores()
    whole.steps(DATA, 4)
    first.steps(DATA, 1)
    first.save_checkpoint(tmp_path / "c")
    again = Trainer.resume(tmp_path / "c")
    assert again.scored_layers == LAYERS and again.scored_steps == 1
    again.steps(DATA, 3)
    same_bits(everything(again), everything(whole))
    for a, b in zip(again.scores(), whole.scores(), strict=True):
        assert a.values.tobytes() == b.values.tobytes()


def test_a_pruned_network_is_scored_from_its_first_step():
    t = trainer()
    t.steps(DATA, 2)
    pruning = pruning_map(t.model.graph)
    new = t.replaced(*remove(t.model, pruning, pruning.units[:2]))
    assert new.scored_layers == LAYERS and new.scored_steps == 0
    new.steps(DATA, 2)
    assert [len(s.values) for s in new.scores()] == [3, 4, 11]


def pruner(**kwargs):
    model = toy_net()
    t = Trainer(model, optim.SGD(0.05), batch=20, seed=1, scores=kwargs.pop("scores", LAYERS))
    settings = {"retrain_steps": 2, "train": DATA, "trainer": t, "scores_from": "training"}
    samples = {"score_images": DATA.images, "score_labels": DATA.labels}
    return IterativePruner(
        model,
        Target(flops="60%"),
        kwargs.pop("criterion", "oracle"),
        **{**settings, **samples, **kwargs},
    )


def test_pruning_by_the_scores_of_retraining():
    seen = []

    def look(step, model, t):
        seen.append({s.layer: s.values for s in t.scores()})

    result = pruner(on_step=look).run()
    assert len(result.steps) > 1 and result.target.reached(result.final, result.original)
    for before, step, after in zip(seen, result.steps[1:], seen[1:], strict=False):
        values = np.concatenate([before["conv1"], before["conv2"]])
        widths = [len(before[k]) for k in ("conv1", "conv2")]
        allowed = values[[w > 1 for w in widths for _ in range(w)]] if 1 in widths else values
        assert step.score == allowed.min(), "the least of what the steps before gathered"
        assert sum(map(len, after.values())) == sum(map(len, before.values())) - 1


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"scores_from": "guess"}, "scores_from must be pass or training, got 'guess'"),
        ({"retrain_steps": 0}, "a trainer must retrain to score in training"),
        ({"criterion": "robust"}, "criterion must be first or oracle in training, got 'robust'"),
    ],
)
def test_pruning_refuses(kwargs, message):
    with pytest.raises(ValueError, match=message):
        pruner(**kwargs)


def test_pruning_needs_all_layers():
    with pytest.raises(ValueError, match="must name every pruned layer, 'conv2' too"):
        pruner(scores=("conv1",)).run()
    with pytest.raises(ValueError, match="must name every pruned layer, 'conv1' too"):
        pruner(scores=()).run()


def test_a_layer_whose_map_is_read_has_no_standard_error():
    net = nn.Sequential(
        nn.Conv2d(3, 3), nn.ELU(1.0), nn.Flatten(), nn.Linear(5), nn.ReLU(), nn.Linear(3)
    )  # fmt: skip
    t = Trainer(net.build((6, 6, 2), seed=1), optim.SGD(0.1), batch=20, scores=("conv1", "fc1"))
    t.steps(DATA, 2)
    conv, fc = t.scores()
    assert conv.standard_error is None and fc.standard_error is not None
    assert (conv.raw > 0).all()
