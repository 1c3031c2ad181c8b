"""Layers: shapes, names, parameters, refusals, and the numbers of those made of several nodes."""

from __future__ import annotations

import numpy as np
import pytest

from helpers import assert_close, normal
from sentei import nn
from sentei.errors import GraphError, ShapeError
from sentei.graph import BATCH, Graph, Spec
from sentei.run import Runner

IMAGE, VECTOR = (9, 7, 6), (13,)

SHAPES = [
    (nn.Conv2d(5, 3), IMAGE, (7, 5, 5), {"weight": (5, 3, 3, 6), "bias": (5,)}),
    (nn.Conv2d(5, (3, 1), bias=False), IMAGE, (7, 7, 5), {"weight": (5, 3, 1, 6)}),
    (nn.Conv2d(4, 3, stride=2, padding=1, bias=False), IMAGE, (5, 4, 4), {"weight": (4, 3, 3, 6)}),
    (nn.Conv2d(4, 5, padding="same", bias=False), IMAGE, (9, 7, 4), {"weight": (4, 5, 5, 6)}),
    (
        nn.Conv2d(4, (3, 5), padding="same", dilation=(2, 1), bias=False),
        IMAGE,
        (9, 7, 4),
        {"weight": (4, 3, 5, 6)},
    ),
    (nn.Conv2d(4, 3, groups=2, bias=False), IMAGE, (7, 5, 4), {"weight": (4, 3, 3, 3)}),
    (nn.DepthwiseConv2d(3, padding=1), IMAGE, (9, 7, 6), {"weight": (6, 3, 3, 1), "bias": (6,)}),
    (
        nn.DepthwiseConv2d(3, 2, stride=2, bias=False),
        IMAGE,
        (4, 3, 12),
        {"weight": (12, 3, 3, 1)},
    ),
    (nn.Linear(4), VECTOR, (4,), {"weight": (4, 13), "bias": (4,)}),
    (nn.Linear(4, bias=False), VECTOR, (4,), {"weight": (4, 13)}),
    (
        nn.BatchNorm(),
        IMAGE,
        IMAGE,
        {"gamma": (6,), "beta": (6,), "running_mean": (6,), "running_var": (6,)},
    ),
    (
        nn.BatchNorm2d(),
        VECTOR,
        VECTOR,
        {"gamma": (13,), "beta": (13,), "running_mean": (13,), "running_var": (13,)},
    ),
    (nn.ChannelScale(), IMAGE, IMAGE, {"m": (6,)}),
    (nn.MaxPool2d(2), IMAGE, (4, 3, 6), {}),
    (nn.MaxPool2d(2, ceil_mode=True), IMAGE, (5, 4, 6), {}),
    (nn.MaxPool2d(3, 2, 1), IMAGE, (5, 4, 6), {}),
    (nn.MaxPool2d((3, 2)), IMAGE, (3, 3, 6), {}),
    (nn.AvgPool2d(2), IMAGE, (4, 3, 6), {}),
    (nn.GlobalAvgPool2d(), IMAGE, (1, 1, 6), {}),
    (nn.Flatten(), IMAGE, (378,), {}),
    (nn.Dropout(0.3), VECTOR, VECTOR, {}),
    (nn.Maxout(4, 3), VECTOR, (4,), {"fc1.weight": (12, 13), "fc1.bias": (12,)}),
    (
        nn.MaxoutConv2d(4, 3, 2, padding=1),
        IMAGE,
        (9, 7, 4),
        {"conv1.weight": (8, 3, 3, 6), "conv1.bias": (8,)},
    ),
    (nn.PReLU(), IMAGE, IMAGE, {"a": (1,)}),
    *(
        (layer, VECTOR, VECTOR, {})
        for layer in (
            nn.ReLU(),
            nn.LeakyReLU(0.1),
            nn.ELU(),
            nn.Sigmoid(),
            nn.Tanh(),
            nn.Softplus(),
            nn.Step(),
            nn.Softmax(),
        )
    ),
]


@pytest.mark.parametrize(("layer", "given", "want", "params"), SHAPES, ids=lambda v: str(v)[:48])
def test_shape_and_parameters(layer, given, want, params):
    x = nn.Input(given)
    y = layer(x, "it")
    assert y.shape == want and y.spec.shape == (BATCH, *want)
    got = {
        v: s.spec.shape
        for v, s in y.graph.values.items()
        if s.role in ("param", "state") and s.spec
    }
    assert got == {f"it.{k}": s for k, s in params.items()}
    decayed = {v for v in got if y.graph.values[v].decay and y.graph.values[v].role == "param"}
    assert decayed == {v for v in got if v.endswith("weight")}
    assert [n.name for n in y.graph.nodes][-1] == "it"
    again = Graph.from_json(y.graph.to_json())
    assert [dict(n.attrs) for n in again.nodes] == [dict(n.attrs) for n in y.graph.nodes]


def test_roles():
    x = nn.Input(IMAGE)
    g = nn.ChannelScale(trainable=True)(nn.ChannelScale()(nn.BatchNorm()(x))).graph
    assert g.by_role("state") == ["bn1.running_mean", "bn1.running_var", "scale1.m"]
    assert g.by_role("param") == ["bn1.gamma", "bn1.beta", "scale2.m"]


def test_start_values():
    net = nn.Sequential(
        nn.Conv2d(2, 1), nn.BatchNorm(), nn.PReLU(), nn.ChannelScale(), nn.Flatten(), nn.Linear(2)
    )
    a = net.build((3, 3, 1)).arrays()
    for name, value in {
        "conv1.bias": 0,
        "bn1.gamma": 1,
        "bn1.beta": 0,
        "bn1.running_mean": 0,
        "bn1.running_var": 1,
        "prelu1.a": 0.25,
        "scale1.m": 1,
        "fc1.bias": 0,
    }.items():
        assert (a[name] == value).all(), name
    assert a["conv1.weight"].std() > 0 and a["fc1.weight"].std() > 0


# -- names -------------------------------------------------------------------------------------
def test_names_are_numbered_by_kind():
    net = nn.Sequential(
        nn.Conv2d(4, 3), nn.ReLU(), nn.Conv2d(4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(2)
    )
    names = [n.name for n in net.graph(IMAGE).nodes]
    assert names == ["conv1", "relu1", "conv2", "relu2", "flatten1", "fc1"]


def test_names_given():
    x = nn.Input(IMAGE)
    y = nn.Conv2d(4, 3, name="stem")(x)
    y = nn.Conv2d(4, 3)(y, "second")
    y = nn.Conv2d(4, 3, name="third")(y, name="last")
    assert [n.name for n in y.graph.nodes] == ["stem", "second", "last"]
    for taken in ("stem", "x", "stem.weight"):
        with pytest.raises(GraphError, match=f"layer names must be unique, got '{taken}' twice"):
            nn.ReLU()(y, taken)
    with pytest.raises(GraphError, match="name must be a word of at least one letter, got ' a'"):
        nn.ReLU()(y, " a")


def test_block_names():
    body = nn.Sequential(nn.Conv2d(6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, 3, padding=1))
    net = nn.Sequential(
        nn.Residual(body, after=nn.ReLU()),
        nn.Residual(body, nn.Conv2d(6, 1), name="wide"),
        nn.Sequential(nn.Flatten(), nn.Linear(3), name="head"),
        nn.ReLU(),
    )
    assert [n.name for n in net.graph(IMAGE).nodes] == [
        *(f"block1.{k}" for k in ("conv1", "relu1", "conv2", "add1", "relu2")),
        *(f"wide.{k}" for k in ("conv1", "relu1", "conv2", "shortcut.conv1", "add1")),
        "head.flatten1",
        "head.fc1",
        "relu1",
    ]


def test_every_dropout_has_its_stream():
    net = nn.Sequential(nn.Dropout(0.5), nn.Dropout(0.0), nn.Dropout(0.1, inverted=False))
    g = net.graph(VECTOR)
    assert [n.name for n in g.nodes] == ["dropout1", "dropout2"]
    assert [n.attrs["stream"] for n in g.nodes] == [0, 1]
    assert [n.attrs["inverted"] for n in g.nodes] == [True, False]
    assert [n.attrs["keep"] for n in g.nodes] == [0.5, 0.9]
    assert g.values["rng"].spec == Spec((2,), "int64")


def test_unused_branches_are_left_out():
    x = nn.Input(IMAGE)
    nn.Dropout(0.5)(nn.Conv2d(4, 3)(x))
    y = nn.Conv2d(4, 3, name="used")(x)
    g = nn.graph_of(y)
    assert [n.name for n in g.nodes] == ["used"]
    assert g.by_role("param", "input") == ["x", "used.weight", "used.bias"]
    assert len(y.graph.nodes) == 3, "the symbol's own graph stays as it is"


# -- refusals ----------------------------------------------------------------------------------
ARGUMENTS = [
    (lambda: nn.Conv2d(0, 3), "Conv2d: out_channels must be a whole number of at least 1, got 0"),
    (lambda: nn.Conv2d(True, 3), "Conv2d: out_channels must be a whole number"),
    (lambda: nn.Conv2d(4, 0), "Conv2d: kernel must be a whole number of at least 1 or a pair"),
    (lambda: nn.Conv2d(4, (3, 3, 3)), "Conv2d: kernel must be .* got \\(3, 3, 3\\)"),
    (lambda: nn.Conv2d(4, 3, stride=0), "Conv2d: stride must be"),
    (lambda: nn.Conv2d(4, 3, padding=-1), "Conv2d: padding must be a whole number of at least 0"),
    (lambda: nn.Conv2d(4, 3, padding="full"), "Conv2d: padding must be .* or \"same\", got 'full'"),
    (
        lambda: nn.Conv2d(4, 2, padding="same"),
        "Conv2d: padding must be numbers unless kernel is odd",
    ),
    (lambda: nn.Conv2d(4, 3, padding="same", stride=2), "unless kernel is odd and stride 1"),
    (lambda: nn.Conv2d(4, 3, dilation=0), "Conv2d: dilation must be"),
    (lambda: nn.Conv2d(4, 3, groups=3), "Conv2d: groups must divide out_channels = 4, got 3"),
    (lambda: nn.Conv2d(4, 3, bias=1), "Conv2d: bias must be True or False, got 1"),
    (lambda: nn.DepthwiseConv2d(3, 0), "DepthwiseConv2d: multiplier must be"),
    (lambda: nn.Linear(2.5), "Linear: out_features must be a whole number of at least 1, got 2.5"),
    (lambda: nn.BatchNorm(0.0), "BatchNorm: eps must be a number above 0.0, got 0.0"),
    (lambda: nn.BatchNorm(momentum=-0.1), "BatchNorm: momentum must be a number at least 0.0"),
    (lambda: nn.ChannelScale("yes"), "ChannelScale: trainable must be True or False"),
    (lambda: nn.MaxPool2d(2, padding=2), "MaxPool2d: padding must be at most half the kernel"),
    (lambda: nn.MaxPool2d(2, ceil_mode=1), "MaxPool2d: ceil_mode must be True or False, got 1"),
    (lambda: nn.AvgPool2d(0), "AvgPool2d: kernel must be"),
    (lambda: nn.Dropout(1.0), "Dropout: p must be a number at least 0.0 and below 1.0, got 1.0"),
    (lambda: nn.Dropout("half"), "Dropout: p must be a number"),
    (lambda: nn.Maxout(4, 1), "Maxout: pieces must be a whole number of at least 2, got 1"),
    (lambda: nn.MaxoutConv2d(4, 3, 1), "MaxoutConv2d: pieces must be"),
    (lambda: nn.LeakyReLU("x"), "LeakyReLU: alpha must be a number, got 'x'"),
    (lambda: nn.ELU(float("nan")), "ELU: alpha must be a number, got nan"),
    (lambda: nn.Sequential(nn.ReLU(), 3), "Sequential: layers must be layers of sentei.nn, got 3"),
    (
        lambda: nn.Sequential([nn.ReLU(), nn.Add()]),
        "must take one input, got Add.* in place 1: call",
    ),
    (lambda: nn.ReLU()(np.zeros(3)), "ReLU: input must be a Symbol, .* got ndarray"),
    (lambda: nn.Add()(nn.Input((3,)), 4), "Add: input must be a Symbol, .* got int"),
    (lambda: nn.Residual(nn.ReLU), "Residual: body must be a layer of sentei.nn"),
    (lambda: nn.Add()(nn.Input((3,))), "Add: inputs must be at least two, got 1"),
    (lambda: nn.Add()(nn.Input((3,)), nn.Input((3,))), "must come from one Input"),
    (lambda: nn.build([nn.ReLU()]), "build: input_shape must be given with layers"),
    (lambda: nn.build(nn.Input((3,)), (3,)), "build: input_shape must be left out"),
    (lambda: nn.build([nn.Identity()], (3,)), "must have at least one layer that does something"),
]


@pytest.mark.parametrize(("make", "message"), ARGUMENTS, ids=range(len(ARGUMENTS)))
def test_refuses_arguments(make, message):
    with pytest.raises(GraphError, match=message):
        make()


INPUTS = [
    (
        nn.Conv2d(4, 3),
        VECTOR,
        r"conv1: Conv2d needs an input of shape \(N, H, W, C\), got \(N, 13\)",
    ),
    (nn.Conv2d(4, 11), IMAGE, "conv1: "),
    (
        nn.Conv2d(4, 3, groups=4),
        IMAGE,
        "conv1: groups must divide the 6 channels of the input, got 4",
    ),
    (nn.DepthwiseConv2d(3), VECTOR, "dwconv1: DepthwiseConv2d needs an input of shape"),
    (
        nn.Linear(4),
        IMAGE,
        r"fc1: Linear needs .* \(N, D\), got \(N, 9, 7, 6\); put Flatten\(\) before",
    ),
    (nn.Maxout(4, 2), IMAGE, r"maxout1: Maxout needs .* put Flatten\(\) before it"),
    (nn.MaxoutConv2d(4, 3, 2), VECTOR, "maxout1: MaxoutConv2d needs an input of shape"),
    (nn.MaxPool2d(2), VECTOR, "pool1: MaxPool2d needs an input of shape"),
    (nn.MaxPool2d(12), IMAGE, "pool1: "),
    (nn.AvgPool2d(2), VECTOR, "avgpool1: AvgPool2d needs an input of shape"),
    (nn.AvgPool2d(12), IMAGE, "avgpool1: "),
    (nn.GlobalAvgPool2d(), VECTOR, "gap1: GlobalAvgPool2d needs an input of shape"),
]


@pytest.mark.parametrize(("layer", "given", "message"), INPUTS, ids=range(len(INPUTS)))
def test_refuses_inputs(layer, given, message):
    x = nn.Input(given)
    with pytest.raises(ShapeError, match=message):
        layer(x)
    assert not x.graph.nodes and list(x.graph.values) == ["x"], "nothing is left behind"


def test_refuses_joins():
    x = nn.Input(IMAGE)
    y = nn.Conv2d(4, 1)(x)
    with pytest.raises(
        ShapeError, match=r"add1: all inputs must have shape \(N, 9, 7, 6\) like 'x'"
    ):
        nn.Add()(x, y)
    with pytest.raises(
        ShapeError, match="concat1: all inputs must have one shape but for the chan"
    ):
        nn.Concat()(x, nn.MaxPool2d(2)(y))


@pytest.mark.parametrize("shape", [(0, 3, 3), (3, 3), (2, 2, 2, 2), ()])
def test_refuses_input_shapes(shape):
    with pytest.raises(ShapeError, match=r"input: shape must be \(H, W, C\) or \(D,\)"):
        nn.Input(shape)


# -- numbers of layers made of several nodes ---------------------------------------------------
def run(y, rng, *, batch=3):
    """(output, parameters) with random parameters, for a random input."""
    model = nn.build(y)
    for tensor in model.tensors.values():
        tensor.copy_from(normal(rng, tensor.shape))
    x = normal(rng, (batch, *model.input_shape))
    runner = Runner(model.graph, model.tensors, batch)
    runner.run(x=x)
    f64 = {k: a.astype(np.float64) for k, a in model.arrays().items()}
    return x.astype(np.float64), runner.fetch(model.output), f64


def test_maxout_takes_neighbouring_pieces(rng):
    x, y, p = run(nn.Maxout(4, 3)(nn.Input(VECTOR), "h"), rng)
    w, b = p["h.fc1.weight"].reshape(4, 3, 13), p["h.fc1.bias"].reshape(4, 3)
    assert_close(y, (np.einsum("ni,oki->nok", x, w) + b).max(2), 14)


def test_maxout_conv_takes_neighbouring_pieces(rng):
    x, y, p = run(nn.MaxoutConv2d(4, 1, 2)(nn.Input(IMAGE), "h"), rng)
    w, b = p["h.conv1.weight"].reshape(4, 2, 6), p["h.conv1.bias"].reshape(4, 2)
    assert_close(y, (np.einsum("nhwi,oki->nhwok", x, w) + b).max(-1), 7)


def test_depthwise_keeps_channels_apart(rng):
    x, y, p = run(nn.DepthwiseConv2d(1, 2)(nn.Input(IMAGE), "d"), rng)
    w, b = p["d.weight"].reshape(6, 2), p["d.bias"]
    assert_close(y, (x[..., None] * w).reshape(*x.shape[:3], 12) + b, 2)


def test_residual_adds_the_shortcut(rng):
    block = nn.Residual(nn.Linear(13), nn.Linear(13, bias=False), nn.ReLU(), name="b")
    x, y, p = run(block(nn.Input(VECTOR)), rng)
    z = x @ p["b.fc1.weight"].T + p["b.fc1.bias"] + x @ p["b.shortcut.fc1.weight"].T
    assert_close(y, np.maximum(z, 0), 28, scale=float(np.abs(z).max()))


def test_joins_of_three(rng):
    x = nn.Input(IMAGE)
    a, b = nn.ChannelScale(name="a")(x), nn.ChannelScale(name="b")(x)
    given, y, p = run(nn.Concat()(x, nn.Add()(x, a, b), b), rng)
    want = [given, given * (1 + p["a.m"] + p["b.m"]), given * p["b.m"]]
    assert_close(y, np.concatenate(want, -1), 3)
