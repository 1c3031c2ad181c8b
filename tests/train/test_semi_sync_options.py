"""Semi-synchronous update beyond the paper: convolutions, adaptive rules, own numbers of groups."""

from __future__ import annotations

import numpy as np
import pytest

from helpers import assert_close, assert_vector, vectors
from sentei import losses, nn, optim
from sentei.describe import described, from_description
from sentei.errors import DataError, GraphError
from sentei.graph import BATCH, Graph, Spec
from sentei.ops import LINEAR, LINEAR_BACKWARD_WEIGHT
from sentei.prune import surgery, units
from sentei.run import Runner
from sentei.tensor import Tensor
from sentei.train import Trainer
from sentei.train.step import StepRunner, build_step
from toys import mlp, toy_data, toy_net

S = vectors("semi_sync")
RULES = {
    "sgd": optim.SGD(0.05, weight_decay=1e-2),
    "momentum": optim.SGD(0.05, momentum=0.9, weight_decay=1e-2),
    "adagrad": optim.AdaGrad(0.02, weight_decay=1e-2),
    "rmsprop": optim.RMSprop(0.005),
    "adam": optim.Adam(0.01, weight_decay=1e-2),
}


@pytest.mark.parametrize("rule", ["adagrad", "rmsprop", "adam"])
def test_frozen_vectors(rule):
    """x = identity makes dw = dy^T whatever is asked; weights at rest keep their bits."""
    v = {k.removeprefix(f"frozen_{rule}."): S[k] for k in S if k.startswith(f"frozen_{rule}.")}
    m, d = v["W0"].shape
    g = Graph()
    g.add_input("x", Spec((BATCH, d)))
    g.add_input("dy", Spec((BATCH, m)))
    g.add_param("fc.weight", Spec((m, d)))
    g.add(LINEAR, ("x", "fc.weight", None), {}, "fc")
    dw = g.add(LINEAR_BACKWARD_WEIGHT, ("x", "dy"), {}, "dw")[0]
    lr, eps = float(v["lr"]), float(v["eps"])
    inner = {
        "adagrad": optim.AdaGrad(lr, eps=1e-10),
        "rmsprop": optim.RMSprop(lr, alpha=float(v["beta2"]), eps=eps),
        "adam": optim.Adam(lr, beta1=float(v["beta1"]), beta2=float(v["beta2"]), eps=eps),
    }[rule]
    states = optim.SemiSync(inner, layers="fc").emit(g, {"fc.weight": dw})
    w = Tensor.from_numpy(v["W0"])
    r = Runner(g, {"fc.weight": w, **states}, d)
    for t in range(len(v["dW"])):
        before = w.numpy()
        dy = np.ascontiguousarray(v["dW"][t].T)
        r.run(x=np.eye(d, dtype=np.float32), dy=dy, lr=np.array([lr], np.float32))
        assert_vector(w.numpy(), v["W"][t], 1e-5)
        rest = v["group_of_row"] != t % (v["group_of_row"].max() + 1)
        assert w.numpy()[rest].tobytes() == before[rest].tobytes()


def stepper(opt):
    """A runner of steps on the toy network: batch norm, dropout, convolutions, linear layers."""
    model = toy_net(seed=3)
    step = build_step(model, losses.CrossEntropy(), (), opt)
    return model, step, StepRunner(step, {**model.tensors, **step.states}, 20)


def feeds(t, lr):
    data = toy_data(20, seed=t)
    return {
        "x": data.images,
        "labels": data.labels,
        "lr": np.array([lr], np.float32),
        "rng": np.array([7, t], np.int64),
    }


@pytest.mark.parametrize("rule", list(RULES))
@pytest.mark.parametrize("seed", [None, 4])
def test_active_rows_are_those_of_the_whole_update(rule, seed):
    """Each step: active rows as the whole update makes them from the same weights and states, the
    others at rest or by momentum alone; with dropout, batch norm, weight decay, changing step size."""
    inner = RULES[rule]
    opt = optim.SemiSync(
        inner, permute_seed=seed, convolutions="conv*", groups={"conv1": 3, "fc1": 4}
    )
    a, step, semi = stepper(opt)
    assert [n.op.name for n in step.graph.nodes].count("conv2d_backward_weight_rows") == 2
    b, whole_step, whole = stepper(inner)
    chosen = {"conv1.weight": 3, "conv2.weight": 2, "conv2.bias": 2, "fc1.weight": 4, "fc1.bias": 4}
    for t in range(9):
        for k, x in a.tensors.items():
            b.tensors[k].copy_from(x)
        for k, x in whole_step.states.items():
            if k in step.states:
                x.copy_from(step.states[k])
        if rule == "adam":  # counts of rows go their own way: one at a time
            counts = {k: step.states[f"{k}.count"].numpy() for k in chosen}
        before = {k: x.numpy() for k, x in a.tensors.items()}
        old = {k: x.numpy() for k, x in step.states.items()}
        lr = inner.lr / (1 + t)
        assert semi.step(feeds(t, lr))
        if rule == "adam":
            whole_step.states["optimizer.t"].copy_from(np.array([max(counts["fc1.weight"]) + 1]))
        assert whole.step(feeds(t, lr))
        for k, x in a.tensors.items():
            got, want = x.numpy(), b.tensors[k].numpy()
            if k not in chosen:
                if rule != "adam":
                    assert_close(got, want.astype(np.float64))
                continue
            base = k.rpartition(".")[0] + ".weight"
            rows, cut = (old[f"{base}.{s}"] for s in ("rows", "offsets"))
            assert len(cut) - 1 == chosen[k]
            active = rows[cut[t % chosen[k]] : cut[t % chosen[k] + 1]]
            rest = np.setdiff1d(np.arange(len(got)), active)
            if rule != "adam" or (counts[k][active] == max(counts["fc1.weight"])).all():
                assert_close(got[active], want[active].astype(np.float64))
            idle = before[k][rest]
            if rule == "momentum":
                idle = idle + np.float32(0.9) * old[f"{k}.momentum"][rest]
                assert_close(got[rest], idle.astype(np.float64))
            else:
                assert got[rest].tobytes() == idle.tobytes()
            if rule == "adam":
                more = step.states[f"{k}.count"].numpy() - counts[k]
                assert (more[active] == 1).all() and (more[rest] == 0).all()


def test_grouped_convolutions_take_the_whole_gradient():
    layers = [nn.Conv2d(6, 3, groups=2), nn.ReLU(), nn.Flatten(), nn.Linear(3)]
    model = nn.build(nn.Sequential(*layers), (6, 6, 2), seed=0)
    before = model.arrays()["conv1.weight"].copy()
    t = Trainer(model, optim.SemiSync(optim.SGD(0.1), convolutions="conv1"), batch=20)
    t.steps(toy_data(), 1)
    changed = (t.model.arrays()["conv1.weight"] != before).reshape(6, -1).any(1)
    assert changed.tolist() == [True] * 3 + [False] * 3


def test_numbers_of_groups():
    assert np.diff(optim.groups(10, 4)).tolist() == [3, 3, 2, 2]
    assert np.diff(optim.groups(3, 7)).tolist() == [1, 1, 1]
    opt = optim.SemiSync(optim.SGD(0.1), layers="fc*", groups={"fc1": 2, "fc*": 5})
    states = build_step(mlp([4, 10, 9, 3]), losses.CrossEntropy(), (), opt).states
    assert [len(states[f"fc{i}.weight.offsets"].numpy()) - 1 for i in (1, 2, 3)] == [2, 5, 3]
    opt.check_states(states)
    assert from_description(described(opt), optim.KINDS) == opt


@pytest.mark.parametrize("rule", ["adam", "adagrad"])
def test_states_are_cut_when_pruned(rule):
    toys = toy_data()
    t = Trainer(toy_net(), optim.SemiSync(RULES[rule], convolutions="conv1"), batch=20, seed=2)
    t.steps(toys, 4)
    pruning = units.pruning_map(t.model.graph, include=("linear", "conv2d"))
    names = {("fc1", 7), ("fc1", 0), ("conv1", 1)}
    gone = [u for u in pruning.units if names & set(u.members)]
    smaller, keep = surgery.remove(t.model, pruning, gone)
    new = t.replaced(smaller, keep)
    for k in ("fc1.weight", "conv1.weight"):
        kept = keep[k, 0]
        for slot in ("mean", "square_mean", "count") if rule == "adam" else ("square_sum",):
            got = new.state_tensors[f"{k}.{slot}"].numpy()
            old = t.state_tensors[f"{k}.{slot}"].numpy()[kept]
            assert np.array_equal(got, old if old.ndim < 2 else cut_columns(old, k, keep))
    new.steps(toys, 5)


def cut_columns(old, k, keep):
    for axis in range(1, old.ndim):
        old = np.take(old, keep[k, axis], axis) if (k, axis) in keep else old
    return old


def refuse(**settings):
    optimizer = optim.SemiSync(**{"opt": optim.SGD(0.1), **settings})
    build_step(toy_net(), losses.CrossEntropy(), (), optimizer)


@pytest.mark.parametrize(
    ("settings", "kind", "message"),
    [
        ({"convolutions": "conv9"}, GraphError,
         r"convolutions must name some of \['conv1', 'conv2'\], got 'conv9'"),
        ({"convolutions": "fc1"}, GraphError, "got 'fc1': fc1 is a linear"),
        ({"layers": "relu*"}, GraphError, r"must name layers of the kind linear, whose rows .* is a relu"),
        ({"groups": {"conv1": 2}}, GraphError, r"groups must name some of \['fc1'\], got 'conv1'"),
        ({"groups": {"fc1": 0}}, ValueError, "groups must be at least 1, got 0 for 'fc1'"),
        ({"groups": {"fc1": 2.5}}, ValueError, "groups must be at least 1, got 2.5"),
        ({"opt": optim.Adam(0.1), "lazy": True}, ValueError, "lazy must go with SGD, got Adam"),
    ],
)  # fmt: skip
def test_refuses(settings, kind, message):
    with pytest.raises(kind, match=message):
        refuse(**settings)


def test_counts_are_checked():
    opt = optim.SemiSync(optim.Adam(0.1))
    states = build_step(mlp([4, 10, 3]), losses.CrossEntropy(), (), opt).states
    bad = Tensor.from_numpy(np.full(10, -1))
    with pytest.raises(DataError, match="count must not be negative"):
        opt.check_states({**states, "fc1.weight.count": bad})
