"""Optimizers through graphs against the vectors; schedules; the semi-synchronous update in a real network."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from helpers import assert_vector, cases, vectors
from sentei import losses, optim
from sentei.describe import described, from_description
from sentei.errors import DataError, GraphError, ShapeError
from sentei.graph import BATCH, Graph, Spec, op_named
from sentei.model import Model
from sentei.ops import LINEAR, LINEAR_BACKWARD_WEIGHT
from sentei.run import Runner
from sentei.tensor import Tensor
from sentei.train.step import StepRunner, build_step
from toys import mlp, toy_net

O = vectors("optimizers")  # noqa: E741
S = vectors("semi_sync")


def optimizer_of(case: str) -> optim.Optimizer:
    def f(key: str) -> float:
        return float(O[f"{case}.{key}"]) if f"{case}.{key}" in O else 0.0

    common = {"lr": f("lr"), "weight_decay": f("weight_decay"), "l2": f("l2_lambda")}
    if case.startswith("adam"):
        inside = case == "adam_eps_inside"
        return optim.Adam(
            **common, beta1=f("beta1"), beta2=f("beta2"), eps=f("eps"), eps_inside=inside
        )
    if case == "adagrad":
        return optim.AdaGrad(**common, eps=f("eps"))
    if case == "rmsprop":
        return optim.RMSprop(**common, alpha=f("alpha"), eps=f("eps"))
    return optim.SGD(**common, momentum=f("alpha"))


@pytest.mark.parametrize("case", [c for c in cases("optimizers") if f"{c}.g" in O])
def test_vectors(case):
    opt = optimizer_of(case)
    w = Tensor.from_numpy(O[f"{case}.w0"])
    g = Graph()
    g.add_param("w", Spec(w.shape))
    g.add_input("g", Spec(w.shape))
    states = opt.emit(g, {"w": "g"})
    r = Runner(g, {"w": w, **states}, 1)
    for t, grad in enumerate(O[f"{case}.g"]):
        r.run(g=grad, lr=np.array([opt.lr], np.float32))
        assert_vector(w.numpy(), O[f"{case}.w"][t], 2e-5)


def test_decay_is_for_weights_only():
    for opt in (optim.SGD(0.1, 0.5), optim.Adam(0.1, l2=0.5), optim.SemiSync(optim.SGD(0.1, 0.5))):
        step = build_step(mlp([4, 9, 3]), losses.CrossEntropy(), (), opt)
        found = {}
        for n in step.graph.nodes:
            if n.op.name.endswith("_update"):
                found[n.inputs[0]] = n.attrs["weight_decay"] + n.attrs["l2"]
        assert found == {"fc1.weight": 0.5, "fc1.bias": 0, "fc2.weight": 0.5, "fc2.bias": 0}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: optim.SGD(-1.0), "SGD: lr must be at least 0, got -1.0"),
        (lambda: optim.SGD(float("nan")), "lr"),
        (lambda: optim.SGD(0.1, momentum=1.0), r"momentum must be in \[0, 1\)"),
        (lambda: optim.SGD(0.1, weight_decay=-1), "weight_decay"),
        (lambda: optim.Adam(0.1, eps=0.0), "eps"),
        (lambda: optim.Adam(0.1, beta2=1.5), "beta2"),
        (lambda: optim.RMSprop(0.1, alpha=-0.1), "alpha"),
        (lambda: optim.AdaGrad(0.1, l2=float("inf")), "l2"),
        (lambda: optim.Step((1, -1)), "milestones"),
        (lambda: optim.Step((1,), per="week"), "per"),
        (lambda: optim.Inverse(0), "tau"),
        (lambda: optim.Cosine(0), "total"),
        (lambda: optim.groups(0), "m must be at least 1"),
        (lambda: optim.SemiSync(optim.SGD(0.1), permute_seed=-1), "permute_seed"),
    ],
)
def test_refuses(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_descriptions():
    for thing in (
        optim.SGD(0.1, momentum=0.9),
        optim.Adam(0.01, eps_inside=True),
        optim.SemiSync(optim.SGD(0.1, 1e-4), layers=["fc1", "fc2*"], permute_seed=4),
        optim.Step([3, 5], 0.5),
        optim.Cosine(10),
    ):
        assert from_description(described(thing), optim.KINDS) == thing


# -- schedules --------------------------------------------------------------------------------


def test_inverse_is_equation_17():
    lr0, tau = float(O["schedule.lr_0"]), float(O["schedule.tau"])
    got = [optim.Bengio(tau)(lr0, int(t), 0) for t in O["schedule.t"]]
    assert_vector(got, O["schedule.lr"], 1e-6)


def test_schedules():
    step = optim.Step((2, 4), 0.1)
    assert [step(1.0, 100, e) for e in range(6)] == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])
    assert optim.Step((2,), 0.5, per="step")(1.0, 2, 0) == 0.5
    cosine = optim.Cosine(4, floor=0.1)
    assert [cosine(1.0, 0, e) for e in (0, 2, 4, 9)] == pytest.approx([1, 0.55, 0.1, 0.1])
    assert optim.Constant()(0.3, 7, 7) == 0.3


def test_perceptron_vectors():
    x, t, mu = O["perceptron.x"], O["perceptron.target"], float(O["perceptron.mu"])
    for n in range(1, len(x) + 1):
        w, b = optim.perceptron(x[:n], t[:n], mu)
        assert_vector(w, O["perceptron.w"][n - 1], 1e-6)
        assert_vector(b, O["perceptron.b"][n - 1], 1e-6)
    with pytest.raises(ValueError, match="only 0 and 1"):
        optim.perceptron(x, t * 2)
    with pytest.raises(ShapeError, match="target must have shape"):
        optim.perceptron(x, t[:-1])


# -- groups -----------------------------------------------------------------------------------


def test_groups_vectors():
    for m, g in zip(S["groups.M"], S["groups.G"], strict=True):
        offsets = optim.groups(int(m))
        assert len(offsets) - 1 == g
        assert np.array_equal(offsets, S[f"groups.M{m}.offsets"])


@pytest.mark.parametrize("m", [*range(1, 40), 4096, 4160, 4161])
def test_groups_rule(m):
    sizes = np.diff(optim.groups(m))
    assert len(sizes) == round(np.sqrt(m)) and sizes.sum() == m
    assert sizes.max() - sizes.min() <= 1 and (np.diff(sizes) <= 0).all()


# -- the semi-synchronous update --------------------------------------------------------------


GIVEN = [c for c in cases("semi_sync") if not c.startswith(("mlp_", "frozen_"))]


@pytest.mark.parametrize("case", GIVEN)
def test_given_gradients(case, monkeypatch):
    """x = identity makes dw = dy^T whatever is asked; rows at rest keep their bits without momentum."""

    def v(key):
        return S[f"{case}.{key}"]

    m, d = v("W0").shape
    g = Graph()
    g.add_input("x", Spec((BATCH, d)))
    g.add_input("dy", Spec((BATCH, m)))
    g.add_param("fc.weight", Spec((m, d)))
    g.add_param("fc.bias", Spec((m,)), decay=False)
    g.add_input("db", Spec((m,)))
    g.add(LINEAR, ("x", "fc.weight", "fc.bias"), {}, "fc")
    dw = g.add(LINEAR_BACKWARD_WEIGHT, ("x", "dy"), {}, "dw")[0]
    alpha = float(v("alpha"))
    opt = optim.SemiSync(
        optim.SGD(0.1, momentum=alpha, weight_decay=float(v("weight_decay"))), layers="fc"
    )
    monkeypatch.setattr(
        optim.semi_sync, "rows_of", lambda m, layer, seed: v("permutation").astype(np.int32)
    )
    states = opt.emit(g, {"fc.weight": dw, "fc.bias": "db"})
    w, b = Tensor.from_numpy(v("W0")), Tensor.from_numpy(v("b0"))
    r = Runner(g, {"fc.weight": w, "fc.bias": b, **states}, d)
    for t in range(len(v("dW"))):
        before = w.numpy()
        r.run(
            x=np.eye(d, dtype=np.float32),
            dy=np.ascontiguousarray(v("dW")[t].T),
            db=v("db")[t],
            lr=v("lr")[t : t + 1],
        )
        assert_vector(w.numpy(), v("W")[t], 1e-5)
        assert_vector(b.numpy(), v("b")[t], 1e-5)
        rest = v("group_of_row") != t % (v("group_of_row").max() + 1)
        if alpha == 0:
            assert w.numpy()[rest].tobytes() == before[rest].tobytes()
    if alpha:
        assert_vector(states["fc.weight.momentum"].numpy(), v("v_W"), 1e-5)
        assert_vector(states["fc.bias.momentum"].numpy(), v("v_b"), 1e-5)


def network(case: str) -> tuple[Model, optim.SemiSync]:
    """The network of an mlp case; its dropout mask is an input."""

    def v(key):
        return S[f"{case}.{key}"]

    hidden, out = v("b1_0").size, v("b2_0").size
    model = mlp([v("X").shape[-1], hidden, out])
    model.load_arrays(
        {
            "fc1.weight": v("W1_0"),
            "fc1.bias": v("b1_0"),
            "fc2.weight": v("W2_0"),
            "fc2.bias": v("b2_0"),
        }
    )
    both = v("group_of_row_2").max() > 0
    opt = optim.SemiSync(
        optim.SGD(float(v("lr")), momentum=float(v("alpha"))), layers="fc*" if both else None
    )
    return model, opt


@pytest.mark.parametrize("case", ["mlp_hidden", "mlp_both", "mlp_dropout"])
def test_network_trajectory(case):
    def v(key):
        return S[f"{case}.{key}"]

    model, opt = network(case)
    dropout = case == "mlp_dropout"
    if dropout:
        model = with_mask(model)
    step = build_step(model, losses.CrossEntropy(), (), opt)
    r = StepRunner(step, {**model.tensors, **step.states}, v("X").shape[1])
    for t in range(30):
        feeds = {"x": v("X")[t], "labels": v("labels")[t], "lr": np.array([opt.lr], np.float32)}
        if dropout:
            feeds["mask"] = v("dropout_mask")[t].astype(np.float32)
        assert r.step(feeds)
        assert_vector(r.number(step.loss), v("loss")[t], 1e-5)
        for k, name in (
            ("W1", "fc1.weight"),
            ("b1", "fc1.bias"),
            ("W2", "fc2.weight"),
            ("b2", "fc2.bias"),
        ):
            assert_vector(model.tensors[name].numpy(), v(k)[t], 1e-5)
    if not dropout:
        assert_vector(model.predict(v("X_test")), v("logits_test"), 1e-5)


def with_mask(model: Model) -> Model:
    """The same network with relu(..) times the input "mask"."""
    from sentei.graph import Node

    g = model.graph.copy()
    g.add_input("mask", Spec((BATCH, model.tensors["fc1.bias"].shape[0])))
    nodes = []
    for n in g.nodes:
        if n.name == "fc2":
            mult = op_named("mask_multiply")
            nodes.append(Node("drop", mult, (n.inputs[0], "mask"), ("drop",), {"factor": 1.0}))
            n = Node(n.name, n.op, ("drop", *n.inputs[1:]), n.outputs, n.attrs)  # noqa: PLW2901
        nodes.append(n)
    return Model(g.rebuild(nodes), model.tensors)


def test_only_active_rows_are_computed():
    step = build_step(mlp([6, 10, 9, 4]), losses.CrossEntropy(), (), optim.SemiSync(optim.SGD(0.1)))
    ops = [n.op.name for n in step.graph.nodes]
    assert ops.count("linear_backward_weight_rows") == 2  # all linear layers but the last
    assert ops.count("linear_backward_weight") == 1
    assert ops.count("counter_advance") == 2
    r = StepRunner(step, {**mlp([6, 10, 9, 4]).tensors, **step.states}, 5)
    rows = [n.outputs[0] for n in step.graph.nodes if n.op.name == "linear_backward_weight_rows"]
    assert [r.plan.specs[v].shape for v in rows] == [(3, 10), (4, 6)]  # groups 3 3 3 and 4 3 3


def test_synchronous_when_everything_is_one_group():
    """M = 2 has one group: the same as SGD."""
    a, b = mlp([3, 2, 2], seed=1), mlp([3, 2, 2], seed=1)
    x = np.random.default_rng(0).standard_normal((4, 3)).astype(np.float32)
    feeds = {"x": x, "labels": np.array([0, 1, 1, 0]), "lr": np.array([0.3], np.float32)}
    for model, opt in ((a, optim.SGD(0.3)), (b, optim.SemiSync(optim.SGD(0.3), layers="*"))):
        step = build_step(model, losses.CrossEntropy(), (), opt)
        r = StepRunner(step, {**model.tensors, **step.states}, 4)
        for _ in range(3):
            r.step(feeds)
    for k in a.tensors:
        assert_vector(b.tensors[k].numpy(), a.tensors[k].numpy().astype(np.float64), 1e-6)


def test_semi_sync_refuses():
    sgd = optim.SGD(0.1)
    with pytest.raises(TypeError, match="opt must be SGD, AdaGrad, RMSprop or Adam, got LBFGS"):
        optim.SemiSync(optim.LBFGS())
    with pytest.raises(GraphError, match=r"layers must name some of \['fc1', 'fc2'\], got 'fc3'"):
        build_step(toy_net(), losses.CrossEntropy(), (), optim.SemiSync(sgd, ["fc1", "fc3"]))


def test_semi_sync_states_are_checked():
    opt = optim.SemiSync(optim.SGD(0.1), permute_seed=3)
    states = build_step(mlp([4, 10, 3]), losses.CrossEntropy(), (), opt).states
    opt.check_states(states)
    for name, array in itertools.chain(
        [
            ("fc1.weight.group", np.array([3], np.int32)),
            ("fc1.weight.group", np.array([-1], np.int32)),
        ],
        [("fc1.weight.rows", np.arange(10, dtype=np.int32)[::-1].copy())],
        [("fc1.weight.offsets", np.array([0, 4, 7, 99], np.int32))],
    ):
        with pytest.raises(DataError, match="SemiSync"):
            opt.check_states({**states, name: Tensor.from_numpy(array)})


def test_permutation_differs_by_layer_and_seed():
    made = [tuple(optim.semi_sync.rows_of(20, layer, seed)) for layer in (0, 1) for seed in (0, 1)]
    assert len(set(made)) == 4
    assert all(sorted(m) == list(range(20)) for m in made)
