"""Initialisation: constants, connections, variances, distributions, seeds, the probe."""

from __future__ import annotations

import numpy as np
import pytest

from helpers import cases, normal, vectors
from sentei import init, nn
from sentei.errors import GraphError, ShapeError
from sentei.nn import models
from sentei.passes import infer_specs

V = vectors("init")
NETWORKS = [c for c in cases("init") if c != "layers"]


def stage(kind: int, window: int) -> init.Stage:
    """Stage for the vectors' numbers: 0 input, 1 activation, 2 max, 3 average, 4 nothing."""
    pool = {2: "max", 3: "average"}.get(kind, "none")
    return init.Stage(kind in (1, 2, 3), pool, window if pool != "none" else 1)


def test_constants():
    for k, window in enumerate(V["T"].tolist()):
        for name in ("tau_max", "gamma_max", "tau_average", "gamma_average"):
            want = V[name][k]
            assert abs(getattr(init, name)(window) - want) <= 1e-12 * want, (name, window)


def test_constants_against_sampling():
    rng = np.random.default_rng(1)
    s = rng.standard_normal((400_000, 9))
    for got, sample in (
        (init.tau_max(9), np.maximum(s.max(1), 0) ** 2),
        (init.tau_max_plain(9), s.max(1) ** 2),
        (init.tau_average(9), np.maximum(s, 0).mean(1) ** 2),
    ):
        assert abs(got - sample.mean()) < 5 * sample.std() / len(s) ** 0.5
    assert init.tau_max_plain(1) == pytest.approx(1.0, abs=1e-14)


def test_large_window():
    """A 112 x 112 window: no overflow, and between the bounds of the largest of T normals."""
    t = 112 * 112
    assert 2 * np.log(t) * 0.7 < init.tau_max(t) < 2 * np.log(t)
    assert init.gamma_max(t) == 1 / t


def test_refuses_window():
    for f in (
        init.tau_max,
        init.tau_max_plain,
        init.tau_average,
        init.gamma_max,
        init.gamma_average,
    ):
        with pytest.raises(ValueError, match="init: window must be at least 1, got 0"):
            f(0)


def test_single_layers():
    case = {k.partition(".")[2]: v for k, v in V.items() if k.startswith("layers.")}
    for k in range(len(case["kernel"])):
        v = {name: a[k].item() for name, a in case.items()}
        rows = init.taps(v["h"], v["kernel"], v["stride"], v["padding"])
        cols = init.taps(v["w"], v["kernel"], v["stride"], v["padding"])
        eps = v["c_in"] * v["c_out"] * rows * cols
        before, after = stage(v["prev_kind"], v["prev_T"]), stage(v["own_kind"], v["own_T"])
        row = init.LayerVariance("it", eps, v["m_in"], v["m_out"], before, after)
        assert eps == v["eps"]
        assert before.tau == pytest.approx(v["tau_prev"], rel=1e-12)
        assert after.gamma == pytest.approx(v["gamma"], rel=1e-12)
        assert row.forward == pytest.approx(v["var_forward"], rel=1e-6)
        assert row.backward == pytest.approx(v["var_backward"], rel=1e-6)
        x = nn.Input((v["h"], v["w"], v["c_in"]))
        y = nn.Conv2d(v["c_out"], v["kernel"], stride=v["stride"], padding=v["padding"])(x)
        assert init.connections(y.graph, "conv1") == v["eps"]
        assert y.shape == (v["h_out"], v["w_out"], v["c_out"])


@pytest.mark.parametrize("case", NETWORKS)
def test_networks(case):
    name = str(V["networks"][cases("init").index(case)])
    graph = models.graph(name, V[f"{case}.input"].tolist(), int(V[f"{case}.K"]))
    rows = init.variances(graph)
    want = {k.rpartition(".")[2]: v for k, v in V.items() if k.startswith(f"{case}.")}
    assert [r.connections for r in rows] == want["eps"].tolist()
    assert [r.m_in for r in rows] == want["m_in"].tolist()
    assert [r.m_out for r in rows] == want["m_out"].tolist()
    for k, r in enumerate(rows):
        assert r.before == stage(want["prev_kind"][k], int(want["prev_T"][k]))
        assert r.after == stage(want["own_kind"][k], int(want["own_T"][k]))
        assert r.before.tau == pytest.approx(want["tau_prev"][k], rel=1e-12)
        assert r.after.gamma == pytest.approx(want["gamma"][k], rel=1e-12)
        assert r.forward == pytest.approx(want["var_forward"][k], rel=1e-6)
        assert r.backward == pytest.approx(want["var_backward"][k], rel=1e-6)


def test_connections_by_counting(rng):
    """Against the sum of a convolution of ones with ones, for odd geometry."""
    for _ in range(40):
        h, w, r, s = (int(v) for v in rng.integers(1, 8, 4))
        stride, padding, dilation = (tuple(int(v) for v in rng.integers(1, 4, 2)) for _ in range(3))
        padding = (padding[0] - 1, padding[1] - 1)
        if h + 2 * padding[0] < dilation[0] * (r - 1) + 1:
            continue
        if w + 2 * padding[1] < dilation[1] * (s - 1) + 1:
            continue
        ones = np.pad(np.ones((h, w)), ((padding[0],) * 2, (padding[1],) * 2))
        count = 0
        for p in range((h + 2 * padding[0] - dilation[0] * (r - 1) - 1) // stride[0] + 1):
            for q in range((w + 2 * padding[1] - dilation[1] * (s - 1) - 1) // stride[1] + 1):
                at = ones[p * stride[0] :: dilation[0], q * stride[1] :: dilation[1]]
                count += at[:r, :s].sum()
        conv = nn.Conv2d(6, (r, s), stride=stride, padding=padding, dilation=dilation, groups=2)
        graph = conv.__call__(nn.Input((h, w, 4))).graph
        assert init.connections(graph, "conv1") == 6 * 2 * count


def test_connections_refuses():
    graph = nn.ReLU()(nn.Input((3,))).graph
    with pytest.raises(GraphError, match="connections: node must be a convolution or linear layer"):
        init.connections(graph, "relu1")


def test_stages_of_a_residual_network():
    rows = {r.name: r for r in init.variances(models.graph("resnet18_like"))}
    relu, none = init.Stage(True), init.Stage()
    assert rows["conv1"].before == none and rows["conv1"].after == relu
    assert rows["block1.conv1"].before == relu
    assert rows["block1.conv2"].after == relu, "through the addition"
    assert rows["block1.shortcut.conv1"].after == relu
    assert rows["block9.conv2"].after == init.Stage(True, "average", 64)
    assert rows["fc1"].before == init.Stage(True, "average", 64) and rows["fc1"].after == none


def test_stages_without_activation_and_after_joins():
    x = nn.Input((8, 8, 4))
    y = nn.MaxPool2d(2)(nn.Conv2d(4, 3, padding=1)(x))
    y = nn.Concat()(nn.ReLU()(nn.Conv2d(4, 1)(y)), nn.ReLU()(nn.Conv2d(4, 1)(y)))
    rows = {r.name: r for r in init.variances(nn.Conv2d(2, 1)(nn.Dropout()(y)).graph)}
    assert rows["conv2"].before == init.Stage(False, "max", 4)
    assert rows["conv2"].before.tau == init.tau_max_plain(4)
    assert rows["conv1"].after.gamma == 1 / 4
    assert rows["conv4"].before == init.Stage(True)
    assert init.Stage(False, "average", 9).tau == 1 / 9
    assert init.Stage(False, "average", 9).gamma == 1 / 81


# -- distributions -----------------------------------------------------------------------------
NET = nn.Sequential(
    nn.Conv2d(64, 5, stride=2, padding=1),
    nn.ReLU(),
    nn.Conv2d(96, 3, groups=4),
    nn.ReLU(),
    nn.DepthwiseConv2d(3, 2),
    nn.Flatten(),
    nn.Linear(50),
)


@pytest.mark.parametrize(
    ("name", "variance"),
    [
        ("kaiming", lambda i, o: 2 / i),
        ("kaiming_fan_out", lambda i, o: 2 / o),
        ("xavier", lambda i, o: 1 / i),
        ("glorot", lambda i, o: 2 / (i + o)),
        ("uniform", lambda i, o: 1 / 3),
        ("normal", lambda i, o: 1.0),
    ],
)
def test_variances_of_the_rules(name, variance):
    graph = NET.graph((21, 21, 8))
    inputs = infer_specs(graph)["fc1.weight"].shape[1]
    fans = {
        "conv1": (25 * 8, 25 * 64),
        "conv2": (9 * 16, 9 * 24),
        "dwconv1": (9, 18),
        "fc1": (inputs, 50),
    }
    draws = init.get(name).draws(graph)
    assert list(draws) == list(fans)
    tensors = init.initialise(graph, name, seed=1)
    for layer, draw in draws.items():
        assert draw.variance == pytest.approx(variance(*fans[layer]), rel=1e-12)
        a = np.asarray(tensors[f"{layer}.weight"]).astype(np.float64)
        assert abs(a.mean()) < 5 * (draw.variance / a.size) ** 0.5
        assert a.var() == pytest.approx(draw.variance, rel=6 * (2 / a.size) ** 0.5)
        if draw.kind == "uniform":
            assert np.abs(a).max() <= draw.scale and np.abs(a).max() > 0.95 * draw.scale


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_henmi_kato_draws_the_table(direction):
    graph = models.graph("lenet5_prune")
    draws = init.henmi_kato(direction).draws(graph)
    for row in init.variances(graph):
        want = row.forward if direction == "forward" else row.backward
        assert draws[row.name].variance == pytest.approx(want, rel=1e-12)


def test_henmi_kato_is_kaiming_without_padding_and_pools():
    net = nn.Sequential(
        nn.ReLU(), nn.Conv2d(8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(5), nn.ReLU()
    )
    graph = net.graph((9, 9, 4))
    forward, fan_in = init.henmi_kato().draws(graph), init.kaiming().draws(graph)
    for name, draw in fan_in.items():
        assert forward[name].scale == pytest.approx(draw.scale, rel=1e-12)


def test_options():
    graph = NET.graph((21, 21, 8))
    assert init.get("uniform", bound=0.5).draws(graph)["fc1"] == init.Draw("uniform", 0.5)
    assert init.get("normal", std=0.01).draws(graph)["fc1"] == init.Draw("normal", 0.01)
    for name in init.names():
        assert init.get(name).name == name
    built = NET.build((21, 21, 8), init=init.normal(0.01))
    assert built.arrays()["fc1.weight"].std() == pytest.approx(0.01, rel=0.05)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: init.get("kaimng"), r"init: name must be one of .* \(did you mean 'kaiming'\?\)"),
        (lambda: init.get("uniform", bond=1), r"did you mean 'bound'\?"),
        (lambda: init.get("glorot", a=1), "glorot: takes no options, got 'a'"),
        (lambda: init.kaiming("fan"), "kaiming: mode must be one of fan_in, fan_out, got 'fan'"),
        (lambda: init.henmi_kato("back"), "henmi_kato: direction must be one of"),
        (lambda: init.uniform(0), "uniform: scale must be a number above 0, got 0"),
        (
            lambda: init.initialise(NET.graph((21, 21, 8)), seed=-1),
            "init: seed must be a whole num",
        ),
    ],
)
def test_refuses(call, message):
    with pytest.raises(GraphError, match=message):
        call()


# -- seeds -------------------------------------------------------------------------------------
def test_numbers_belong_to_names():
    """A layer more, or another order, changes nothing for the layers that stay."""
    a = nn.Sequential(nn.Linear(6, name="p"), nn.ReLU(), nn.Linear(6, name="q"))
    b = nn.Sequential(
        nn.Linear(6, name="p"), nn.Linear(6, name="r"), nn.ReLU(), nn.Linear(6, name="q")
    )
    x, y = (net.build((6,), seed=2).arrays() for net in (a, b))
    for name in ("p.weight", "q.weight"):
        assert np.array_equal(x[name], y[name])
    assert not np.array_equal(y["p.weight"], y["q.weight"])
    assert not np.array_equal(x["p.weight"], a.build((6,), seed=3).arrays()["p.weight"])


def test_numbers_stay():
    """The stream of a name is part of what a seed promises."""
    got = init.initialise(nn.Linear(2)(nn.Input((3,))).graph, "normal", seed=0)["fc1.weight"]
    assert np.array_equal(np.asarray(got), NUMBERS)


NUMBERS = np.array(
    [
        [0.5198736786842346, -0.09642208367586136, -1.5717254877090454],
        [0.3816366493701935, 1.2080230712890625, 0.9429334402084351],
    ],
    np.float32,
)


# -- the probe ---------------------------------------------------------------------------------
def test_probe_finds_the_signal_kept(rng):
    """[I]'s claim: its rule keeps the signal's variance near 1 where padding makes Kaiming's shrink.

    On 6 x 6 images a 3 x 3 window with padding 1 sees (16/18)^2 of its taps, so that Kaiming loses a
    factor 0.79 in every layer.
    """
    depth = 8
    layers = [part for _ in range(depth) for part in (nn.Conv2d(96, 3, padding=1), nn.ReLU())]
    net = nn.Sequential(*layers, nn.Flatten(), nn.Linear(10))
    images = normal(rng, (32, 6, 6, 3))
    kept = init.probe(net.build((6, 6, 3), init="henmi_kato"), images)
    lost = init.probe(net.build((6, 6, 3), init="kaiming"), images)
    assert [r.name for r in kept] == [f"conv{k + 1}" for k in range(depth)] + ["fc1"]
    assert all(r.op == "conv2d" and r.gradient is None for r in kept[:-1])
    assert all(0.6 < r.signal < 1.7 for r in kept[:-1]), [r.signal for r in kept]
    for k in range(depth):
        share = (16 / 18) ** (
            2 * k
        )  # the first layer differs by a factor 2: no ReLU stands before it
        ratio = lost[k].signal / kept[k].signal / 2 / (16 / 18) ** 2
        assert ratio == pytest.approx(share, rel=0.02)


def test_probe_through_a_pool(rng):
    """Max pooling of independent values: tau is what it does to the next layer's signal."""
    net = nn.Sequential(
        nn.Conv2d(64, 1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(64, 1), nn.Flatten(), nn.Linear(2)
    )
    images = normal(rng, (32, 16, 16, 64))
    kept = init.probe(net.build((16, 16, 64), init="henmi_kato"), images)
    lost = init.probe(net.build((16, 16, 64), init="kaiming"), images)
    assert kept[0].signal == pytest.approx(1, rel=0.1)
    assert kept[1].signal == pytest.approx(1, rel=0.25)
    assert lost[1].signal / lost[0].signal == pytest.approx(
        2 * init.tau_max(4) * kept[1].signal / kept[0].signal, rel=1e-3
    )


def test_probe_of_gradients(rng):
    net = nn.Sequential(
        *(part for _ in range(6) for part in (nn.Linear(300), nn.ReLU())), nn.Linear(10)
    )
    images, labels = normal(rng, (64, 300)), rng.integers(0, 10, 64)
    rows = init.probe(net.build((300,), init="henmi_kato_backward"), images, labels)
    assert all(0.4 < r.gradient < 2.5 for r in rows), [r.gradient for r in rows]
    weak = init.probe(net.build((300,), init="xavier"), images, labels)
    assert weak[0].gradient < 0.1 * rows[0].gradient


def test_probe_leaves_the_model(rng):
    model = models.build("lenet5_prune", (8, 8, 1))
    before = model.arrays()
    nodes = len(model.graph.nodes)
    rows = init.probe(model, normal(rng, (4, 8, 8, 1)), np.zeros(4, np.int64))
    assert len(rows) == 4 and all(np.isfinite([r.signal, r.gradient]).all() for r in rows)
    assert len(model.graph.nodes) == nodes
    assert all(np.array_equal(before[k], a) for k, a in model.arrays().items())
    for shape in ((4, 9, 9, 1), (0, 8, 8, 1)):
        with pytest.raises(ShapeError, match="probe: images must"):
            init.probe(model, np.zeros(shape, np.float32))
