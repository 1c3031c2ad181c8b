"""The declared tables against the methods page: figures, networks, where penalties and updates act."""

from __future__ import annotations

import pytest

from sentei.errors import DataError, GraphError
from sentei.losses import CrossEntropy
from sentei.nn import models
from sentei.optim import SGD, Adam, SemiSync
from sentei.passes import costs
from sentei.regularizers import LogActivity
from sentei.workflow.reproduce import TABLES, table
from sentei.workflow.reproduce.spec import Arm, Gates, Scores, Setting, Table, figures

# Section 10 of the methods page, arms in its order, columns of an arm one after the other.
PUBLISHED = {
    "s1": [75.7, 77.2, 77.8, 82.2, 86.6, 81.9],
    "s2": [86.16, 86.45, 88.65, 84.83],
    "i4": [24.61, 24.61, 24.61, 24.61, 69.92, 68.36, 69.04, 69.48, 70.90, 69.19, 69.73, 70.21],
    "t2.2": [69.80, 68.36, 70.10, 75.76, 75.93],
    "t2.3": [33.39, 34.01, 35.04, 41.01, 46.72],
    "t2.6": [99.18, 99.27, 99.31, 99.39],
    "t2.9": [88.48, 88.53, 88.51, 89.42, 88.79, 89.80, 89.28, 88.78],
    "t2.10": [59.06, 59.13, 65.32, 66.61, 66.14, 67.47, 67.13, 63.58],
    "t2.13": [87.20, 14.78, 87.72, 87.61, 65.53, 88.20, 88.04, 87.97, 88.41],
    "t3.6-mnist": [98.52, 98.51, 99.29, 99.32],
    "t3.6-cifar10": [90.20, 92.42, 89.42, 89.56, 89.67, 89.75],
    "t3.6-cifar100": [64.07, 69.22, 66.61, 66.83, 58.56, 61.96],
    "t3.9-cifar10": [90.20, 91.38, 92.63, 92.28],
    "t3.9-cifar100": [64.07, 66.47, 64.87, 70.59],
    "t4.11": [87.73, 82.03, 84.95, 87.73, 76.90, 85.43, 87.73, 85.14, 90.66],
}
PRUNED = {
    "t4.2": {
        "first": [99.19, 99.08, 99.01],
        "first and second": [99.25, 99.18, 98.97],
        "second": [99.23, 99.18, 99.13],
    },
    "t4.4a": {"robust": [99.25, 99.19, 99.13], "trace": [99.29, 99.28, 99.19]},
    "t4.5a": {
        "L1+std": [87.45, 85.97, 81.37],
        "norm": [85.02, 72.96, 34.80],
        "Fisher": [87.44, 85.81, 74.46],
        "oracle": [87.72, 86.12, 81.30],
        "robust": [89.38, 88.94, 83.80],
        "trace": [89.02, 88.86, 86.24],
    },
    "t4.8a": {
        "oracle": [89.70, 89.26, 85.77],
        "robust": [89.62, 89.15, 86.52],
        "trace": [88.74, 87.27, 83.80],
    },
    "t4.7": {
        "L1+std": [84.80, 82.37, 74.15],
        "Fisher": [86.80, 84.93, 79.17],
        "oracle": [85.73, 85.03, 78.29],
        "robust": [86.78, 83.17, 77.99],
        "trace": [82.24, 78.80, 62.69],
    },
}


def test_every_table_is_there():
    assert sorted(TABLES) == sorted([*PUBLISHED, *PRUNED])


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_figures(name):
    t = table(name)
    got = [a.published[c].mean for a in t.arms for c in t.columns if c in a.published]
    assert got == PUBLISHED[name]


@pytest.mark.parametrize("name", sorted(PRUNED))
def test_figures_of_pruning(name):
    t = table(name)
    arms = {a.name: [a.published[c].mean for c in ("-50 %", "-70 %", "-90 %")] for a in t.arms}
    assert arms | PRUNED[name] == arms
    whole = {"t4.2": 99.29, "t4.4a": 99.29, "t4.7": 89.17}.get(name, 87.73)
    assert {a.published["0 %"].mean for a in t.arms} == {whole}
    assert t.judged == ("-50 %", "-70 %", "-90 %")


ARMS = [(t, a) for t in TABLES.values() for a in t.arms]


@pytest.mark.parametrize(("t", "arm"), ARMS, ids=[f"{t.name}-{a.name}" for t, a in ARMS])
def test_networks_can_be_built(t, arm):
    s = arm.setting
    graph = models.graph(s.network, t.data.input_shape, t.data.classes, **s.options)
    assert graph.nodes[-1].op.name == "linear"
    for r in (x for x in s.regularizers if isinstance(x, LogActivity)):
        places = [n.name for n in graph.nodes if n.op.name in ("relu", "max_pool2d")]
        terms = r.emit(graph, graph.outputs[0])
        if "bn*" in r.layers:  # ahead of six batch norms, the ReLU of FC and three pools
            assert len(terms) == 10
        else:
            assert len(terms) == len(places)


def test_settings_of_the_sources():
    def setting(name, arm):
        return next(a.setting for a in table(name).arms if a.name == arm)

    assert setting("t2.6", "sparse").optimizer == SGD(0.01)
    assert setting("t2.6", "sparse").regularizers[0].lam == 0.1
    assert setting("t2.6", "channel-wise").regularizers[0].form == "channel"
    assert setting("t2.2", "sparse").regularizers[0].lam == 1.0
    assert setting("t2.10", "sparse").regularizers[0].lam == 1.0
    assert setting("t2.10", "channel-wise").regularizers[0].lam == 0.1
    assert setting("t2.3", "baseline").epochs == 2000
    assert setting("t2.3", "baseline").optimizer == SGD(0.01)
    assert setting("t2.13", "batch norm, 2 classes").classes_per_batch == 2
    assert setting("t2.13", "batch norm, 2 classes").options["batch_norm"]
    assert not setting("t2.13", "sparse, 2 classes").options["batch_norm"]
    assert setting("t3.6-cifar10", "deep_cnn, discriminant").optimizer == Adam(0.001)
    assert setting("t3.6-cifar10", "vgg13_like, discriminant").regularizers[0].lam == 0.1
    assert setting("t3.6-cifar100", "vgg13_like, discriminant").regularizers[0].lam == 1.0
    semi = setting("s2", "semi-synchronous")
    assert isinstance(semi.optimizer, SemiSync)
    assert semi.optimizer.chosen(models.graph("vgg16")) == ["fc1", "fc2"]
    assert (semi.batch, semi.epochs, semi.optimizer.opt) == (32, 50, SGD(0.001, momentum=0.9))
    for name in PRUNED:
        assert all(isinstance(a.prune, Scores) for a in table(name).arms)
    assert {a.prune.normalize for a in table("t4.8a").arms} == {1.0}
    assert {a.prune.normalize for a in table("t4.5a").arms} == {None}
    assert [a.prune.method for a in table("t4.11").arms] == ["autoprune", "sigmoid", "block"]
    assert isinstance(table("t4.11").arms[0].prune, Gates)


def test_network_options_change_no_count():
    """ELU and dropout have no weights; the counts are those of the conformance vectors."""
    plain = costs(models.graph("vgg13_like", batch_norm=False))
    elu = costs(models.graph("vgg13_like", batch_norm=False, activation="elu"))
    assert (elu.params, elu.macs) == (plain.params, plain.macs)
    rates = [0.3, 0.4, 0.4, 0.5, 0.5]
    five = models.graph("vgg13_like", dropout=rates)
    assert costs(five).params == costs(models.graph("vgg13_like")).params
    found = [(n.name, 1 - n.attrs["keep"]) for n in five.nodes if n.op.name == "dropout"]
    assert [p for _, p in found] == pytest.approx(rates)
    order = [n.name for n in five.nodes]
    before = [order[order.index(name) - 1] for name, _ in found]
    assert before == ["relu1", "relu3", "relu5", "pool3", "relu7"]
    small = models.graph("lenet5_sparse", (28, 28, 1), activation="elu")
    assert [n.op.name for n in small.nodes].count("elu") == 3
    assert costs(small).params == costs(models.graph("lenet5_sparse", (28, 28, 1))).params


def test_network_options_refuse():
    with pytest.raises(GraphError, match=r"^vgg13_like: dropout must be one rate or five, got 2"):
        models.graph("vgg13_like", dropout=[0.1, 0.2])
    with pytest.raises(GraphError, match="activation"):
        models.graph("lenet5_sparse", activation="gelu")


def test_refuses():
    with pytest.raises(DataError, match=r"reproduce: NAME.*'t2.66'"):
        table("t2.66")
    s = Setting("lenet5_sparse", 1, SGD(0.1))
    arm = Arm("a", s, figures(("accuracy",), 1.0))
    with pytest.raises(ValueError, match="names of their own"):
        Table("x", "", "", table("t2.6").data, ("accuracy",), (arm, arm))
    with pytest.raises(ValueError, match="no column 'accuracy'"):
        Table("x", "", "", table("t2.6").data, ("loss",), (arm,))


def test_key_of_a_setting():
    a, b = Setting("f34", 3, SGD(0.1)), Setting("f34", 3, SGD(0.1), loss=CrossEntropy())
    assert a.key() == b.key() != Setting("f34", 3, SGD(0.2)).key()
