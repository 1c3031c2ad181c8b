"""Networks: structure and costs against the reference vectors, names, options."""

from __future__ import annotations

import numpy as np
import pytest

from helpers import cases, vectors
from sentei.errors import GraphError, ShapeError
from sentei.graph import Graph
from sentei.nn import models
from sentei.passes import costs, infer_specs, inference
from sentei.prune import pruning_map

V = vectors("costs")


def graph_of_case(case: str) -> Graph:
    at = cases("costs").index(case)
    name, variant = str(V["networks"][at]), str(V["batch_norm"][at])
    options = {} if variant == "default" else {"batch_norm": variant}
    if name == "vgg13_like" and options:
        options = {"batch_norm": False}
    return models.graph(name, V[f"{case}.input"].tolist(), int(V[f"{case}.K"]), **options)


@pytest.mark.parametrize("case", cases("costs"))
def test_costs(case):
    graph = graph_of_case(case)
    total = costs(graph)
    assert total.params == V[f"{case}.params"]
    assert total.macs == V[f"{case}.macs"]
    assert total.flops == V[f"{case}.flops"]
    norms = [n for n in total.nodes if n.op == "batch_norm"]
    assert sum(n.params for n in norms) == V[f"{case}.params_bn"]


@pytest.mark.parametrize("case", cases("costs"))
def test_layers(case):
    graph = graph_of_case(case)
    specs = infer_specs(graph)
    per_node = {n.name: n for n in costs(graph).nodes}
    consumers = graph.consumers()
    rows = []
    for node in graph.nodes:
        if node.op.name not in ("conv2d", "linear"):
            continue
        x, y, w = (specs[v].shape for v in (node.inputs[0], node.outputs[0], node.inputs[1]))
        fc = node.op.name == "linear"
        after = consumers[node.outputs[0]]
        norm = after[0] if after and after[0].op.name == "batch_norm" else None
        bias = 0 if node.inputs[2] is None else specs[node.inputs[2]].size
        assert per_node[node.name].params == specs[node.inputs[1]].size + bias
        rows.append(
            {
                "type": int(fc),
                "c_in": x[-1],
                "c_out": y[-1],
                "kernel": 1 if fc else w[1],
                "stride": 1 if fc else node.attrs["stride"][0],
                "padding": 0 if fc else node.attrs["padding"][0],
                "h_in": 1 if fc else x[1],
                "w_in": 1 if fc else x[2],
                "h_out": 1 if fc else y[1],
                "w_out": 1 if fc else y[2],
                "weights": specs[node.inputs[1]].size,
                "biases": bias,
                "bn": 0 if norm is None else per_node[norm.name].params,
                "macs": per_node[node.name].macs,
            }
        )
    for quantity in rows[0]:
        want = V[f"{case}.layer.{quantity}"]
        assert np.array_equal([r[quantity] for r in rows], want), quantity


# What costs do not show: activations, pools, dropout, in order.
ACTIONS = {
    "lenet5_sparse": "relu max_pool2d relu max_pool2d relu",
    "vgg13_like": "relu relu max_pool2d " * 3 + "relu dropout",
    "lenet5_disc_1": "leaky_relu max_pool2d leaky_relu max_pool2d",
    "lenet5_disc_2": "relu max_pool2d relu max_pool2d relu",
    "deep_cnn": ("leaky_relu " * 3 + "max_pool2d dropout ") * 2 + "leaky_relu " * 3 + "avg_pool2d",
    "resnet18_like": "relu " + "relu add relu " * 9 + "avg_pool2d",
    "lenet5_prune": "relu max_pool2d relu max_pool2d relu dropout",
    "vgg13_stl": "relu max_pool2d " * 6,
    "vgg16": "relu relu max_pool2d " * 2 + "relu relu relu max_pool2d " * 3 + "relu relu",
    "f34": "relu max_pool2d " + "relu " * 32 + "global_avg_pool",
    "resnet20": "relu " + "relu add relu " * 9 + "global_avg_pool",
    "resnet56": "relu " + "relu add relu " * 27 + "global_avg_pool",
}


@pytest.mark.parametrize("name", models.names())
def test_what_stands_between(name):
    hidden = {"conv2d", "linear", "batch_norm", "flatten"}
    graph = models.graph(name)
    got = [n.op.name for n in graph.nodes if n.op.name not in hidden]
    assert got == ACTIONS[name].split()
    for node in graph.nodes:
        if node.op.name == "leaky_relu":
            assert node.attrs["alpha"] == 0.1
        if node.op.name == "dropout":
            assert node.attrs["keep"] == 0.5
        if node.op.name == "max_pool2d":
            assert node.attrs["ceil_mode"] == (name not in ("vgg16", "f34"))
            overlapping = node.attrs["stride"] != node.attrs["kernel"]
            assert overlapping == (name == "f34")
        if node.op.name == "batch_norm":  # between the weights and the activation
            before = graph.producers()[node.inputs[0]]
            assert before.op.name in ("conv2d", "linear")
            after = [n.op.name for n in graph.consumers()[node.outputs[0]]]
            assert after in (["relu"], ["leaky_relu"], ["add"])


def test_options():
    graph = models.graph("vgg16", dropout=0.25)
    drops = [n for n in graph.nodes if n.op.name == "dropout"]
    assert [n.attrs["keep"] for n in drops] == [0.75, 0.75]
    assert [graph.producers()[n.inputs[0]].op.name for n in drops] == ["relu", "relu"]
    norm = models.graph("lenet5_sparse", batch_norm=True)
    assert sum(n.op.name == "batch_norm" for n in norm.nodes) == 2
    assert models.network("vgg16").options == {
        "batch_norm": "none",
        "dropout": 0.0,
        "inverted": True,
    }


@pytest.mark.parametrize("name", models.names())
def test_every_network_has_a_file_form(name):
    graph = models.graph(name)
    again = Graph.from_json(graph.to_json())
    assert again.to_json() == graph.to_json()
    assert costs(again) == costs(graph)
    assert models.network(name).summary


@pytest.mark.parametrize("name", models.names())
def test_inference_form(name):
    graph = inference(models.graph(name))
    assert not {"batch_norm", "dropout"} & {n.op.name for n in graph.nodes}
    assert infer_specs(graph, 3)[graph.outputs[0]].shape == (3, 10)


@pytest.mark.parametrize(
    ("name", "depth", "millions"), [("resnet20", 20, "0.27"), ("resnet56", 56, "0.86")]
)
def test_cifar_residual_networks(name, depth, millions):
    """Depth and parameters of He et al. table 6 (0.27 and 0.85 million; there shortcuts have none)."""
    graph = models.graph(name)
    shortcuts = [n.name for n in graph.nodes if ".shortcut." in n.name and n.op.name == "conv2d"]
    blocks = (depth - 2) // 6
    assert shortcuts == [f"block{blocks * k + 1}.shortcut.conv1" for k in (1, 2)]
    weights = [n for n in graph.nodes if n.op.name in ("conv2d", "linear")]
    assert len(weights) - len(shortcuts) == depth
    total = costs(graph)
    assert f"{total.params / 1e6:.2f}" == millions
    own = sum(n.params for n in total.nodes if ".shortcut." in n.name)
    assert own == 16 * 32 + 32 * 64 + 2 * (32 + 64)
    assert f"{(total.params - own) / 1e6:.2f}" == {20: "0.27", 56: "0.85"}[depth]
    maps = [infer_specs(graph)[n.outputs[0]].shape[1:] for n in graph.nodes if n.op.name == "add"]
    stages = [(32, 32, 16), (16, 16, 32), (8, 8, 64)]
    assert maps == [shape for shape in stages for _ in range(blocks)]


@pytest.mark.parametrize("name", ["resnet20", "resnet56"])
def test_streams_of_cifar_networks_are_pruned_apart(name):
    """Three streams, one per stage; a channel may leave one and stay in the others."""
    found = pruning_map(models.graph(name))
    tied = {frozenset(layer for layer, _ in u.members) for u in found.units}
    streams = [t for t in tied if len(t) > 1]
    assert len(streams) == 3 and not frozenset.intersection(*streams)


def test_names():
    assert len(models.names()) == len(set(models.names())) == 12
    for name in models.names():
        assert models.network(name).make is getattr(models, name)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: models.build("lenet5_prun"), r"did you mean 'lenet5_prune'\?"),
        (lambda: models.graph("nothing like it"), "models: name must be one of deep_cnn, f34"),
        (lambda: models.graph("vgg16", batchnorm="fc"), r"did you mean 'batch_norm'\?"),
        (lambda: models.graph("vgg16", batch_norm="convs"), r"did you mean 'conv'\?"),
        (lambda: models.graph("f34", dropout=0.5), "f34: takes no options, got 'dropout'"),
        (lambda: models.graph("f34", classes=0), "f34: classes must be a whole number"),
    ],
)
def test_refuses(call, message):
    with pytest.raises(GraphError, match=message):
        call()


def test_image_too_small():
    with pytest.raises(ShapeError, match=r"^conv8: "):
        models.graph("deep_cnn", (16, 16, 3))


def test_table():
    text = str(models.build("lenet5_prune"))
    lines = text.splitlines()
    assert lines[0].split() == ["name", "op", "output", "shape", "parameters", "MACs", "bytes"]
    assert lines[2].split() == [
        "conv1",
        "conv2d",
        "28",
        "x",
        "28",
        "x",
        "32",
        "800",
        "627,200",
        "100,352",
    ]
    assert lines[-1] == "one sample: 13,883,904 MACs = 27,767,808 FLOPs"
    assert "3,274,730" in lines[-2]
