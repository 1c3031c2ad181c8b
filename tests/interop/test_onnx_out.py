"""Every op and whole networks as ONNX files, against ONNX Runtime."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from extras import need
from networks import networks, random_images, shake
from onnx_written import written
from sentei import nn
from sentei.graph import BATCH, Graph, Op, Spec, all_ops
from sentei.model import Model
from sentei.nn import models
from sentei.ops import CLIP, MAX_POOL2D, PAD2D
from sentei.passes import inference
from sentei.prune import attach_blocks, attach_gates, gates_of, pruning_map
from sentei.prune.surgery import remove

need("onnx")
need("onnxruntime")

FEW = settings(max_examples=25, deadline=None, derandomize=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("onnx")


def built(layers: list[nn.Layer], shape: tuple[int, ...], seed: int = 0) -> Model:
    model = nn.build(nn.Sequential(*layers), shape, seed=seed)
    shake(model, seed)
    return model


# -- ops ---------------------------------------------------------------------------------------
ON_IMAGES_AND_ROWS = {
    "relu": [nn.ReLU()],
    "leaky_relu": [nn.LeakyReLU(0.3)],
    "elu": [nn.ELU(0.7)],
    "tanh": [nn.Tanh()],
    "logistic": [nn.Sigmoid()],
    "softplus": [nn.Softplus()],
    "step": [nn.Step()],
    "prelu": [nn.PReLU()],
    "softmax": [nn.Softmax()],
    "batch_norm_inference": [nn.BatchNorm(eps=1e-3)],
    "channel_scale": [nn.ChannelScale(trainable=True)],
    "scale": [nn.Dropout(0.3, inverted=False)],
}


@pytest.mark.parametrize("op", ON_IMAGES_AND_ROWS)
@pytest.mark.parametrize("shape", [(5, 3, 4), (1, 1, 7), (13,)], ids=str)
def test_ops_on_images_and_rows(op, shape, folder):
    model = built(ON_IMAGES_AND_ROWS[op], shape)
    assert [n.op.name for n in inference(model.graph).nodes] == [op]
    written(model, folder, random_images(model, 3))


def alone(op: Op, shape: tuple[int, ...], **attrs: object) -> Model:
    """A network of one op that no layer makes."""
    g = Graph()
    g.add_input("x", Spec((BATCH, *shape)))
    g.outputs = g.add(op, ("x",), attrs)[:1]
    return Model(g, {})


@pytest.mark.parametrize("ends", [(0.0, 6.0), (-0.5, None), (None, 0.25), (None, None), (0.5, 0.5)])
@pytest.mark.parametrize("shape", [(5, 3, 4), (13,)], ids=str)
def test_clip(ends, shape, folder):
    model = alone(CLIP, shape, low=ends[0], high=ends[1])
    written(model, folder, 5 * random_images(model, 3))


@FEW
@given(st.tuples(*4 * [st.integers(0, 3)]), st.booleans())
def test_borders(folder, pads, lowest):
    """Of -infinity only before a maximum, where ours makes them: the outputs must be finite."""
    g = Graph()
    g.add_input("x", Spec((BATCH, 4, 5, 3)))
    (y,) = g.add(PAD2D, ("x",), {"pads": pads, "lowest": lowest})
    if lowest:
        window = {"kernel": (4, 4), "stride": (1, 1), "padding": (0, 0), "ceil_mode": False}
        y = g.add(MAX_POOL2D, (y,), window)[0]
    g.outputs = (y,)
    written(Model(g, {}), folder, random_images(Model(g, {}), 2))


@FEW
@given(st.data())
def test_convolutions(folder, data):
    draw = data.draw
    group = draw(st.integers(1, 3))
    kernel = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    layer = nn.Conv2d(
        group * draw(st.integers(1, 4)),
        kernel,
        stride=draw(st.tuples(st.integers(1, 3), st.integers(1, 2))),
        padding=draw(st.tuples(st.integers(0, 2), st.integers(0, 1))),
        dilation=draw(st.tuples(st.integers(1, 2), st.integers(1, 2))),
        groups=group,
        bias=draw(st.booleans()),
    )
    shape = (draw(st.integers(6, 9)), draw(st.integers(6, 9)), group * draw(st.integers(1, 3)))
    after = [nn.ReLU()] * draw(st.integers(0, 1))
    model = built([layer, *after], shape, draw(st.integers(0, 9)))
    written(model, folder, random_images(model, 2), fold=draw(st.booleans()))


@FEW
@given(st.data())
def test_pools(folder, data):
    """Every window that fits, ceil_mode with and without padding among them."""
    draw = data.draw
    kernel = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    stride = draw(st.none() | st.tuples(st.integers(1, 5), st.integers(1, 5)))
    padding = tuple(draw(st.integers(0, (k - 1) // 2)) for k in kernel)
    pools = [
        nn.AvgPool2d(kernel, stride=stride),
        nn.MaxPool2d(kernel, stride=stride, padding=padding, ceil_mode=draw(st.booleans())),
        nn.GlobalAvgPool2d(),
    ]
    shape = (draw(st.integers(4, 9)), draw(st.integers(4, 9)), draw(st.integers(1, 3)))
    model = built([draw(st.sampled_from(pools))], shape)
    written(model, folder, random_images(model, 2))


@pytest.mark.parametrize("opset", [13, 17, 18, 22])
@pytest.mark.parametrize("shape", [(4, 3, 6), (6,)], ids=str)
def test_maxout(opset, shape, folder):
    x = nn.Input(shape)
    layer = nn.MaxoutConv2d(4, 1, pieces=3) if len(shape) == 3 else nn.Maxout(4, pieces=3)
    model = nn.build(layer(x))
    shake(model, 1)
    report = written(model, folder, random_images(model, 3), opset=opset)
    assert report.operators["ReduceMax"] == 1 and report.opset == opset


@pytest.mark.parametrize("relu", [False, True])
def test_add_and_concat(relu, folder):
    x = nn.Input((4, 4, 3))
    a, b = nn.Conv2d(5, 1)(x), nn.Conv2d(5, 3, padding=1)(x)
    y = nn.Add()(a, b)
    y = nn.Concat()(nn.ReLU()(y) if relu else y, x, a)
    rows = nn.Concat()(nn.Flatten()(y), nn.Flatten()(x))
    model = nn.build(nn.Add()(nn.Linear(4)(rows), nn.Linear(4)(rows)))
    shake(model, 2)
    report = written(model, folder, random_images(model, 3))
    # joined rows cannot be put in another order by the columns of one weight
    assert report.operators["Transpose"] == 2 and report.operators["Concat"] == 2


def test_every_op_has_a_form_that_is_tested_here():
    """What test_contract demands to have a form is made above, or it would be untested."""
    seen = set(ON_IMAGES_AND_ROWS) | {
        "clip", "conv2d", "linear", "add", "concat", "flatten", "maxout", "max_pool2d", "avg_pool2d",
        "global_avg_pool", "pad2d",
    }  # fmt: skip
    assert seen == {k for k, op in all_ops().items() if callable(op.to_onnx)}


# -- rows --------------------------------------------------------------------------------------
def test_rows_change_columns_in_place_of_pixels(folder):
    x = nn.Input((3, 4, 5))
    rows = nn.Dropout(0.5, inverted=False)(nn.PReLU()(nn.Flatten()(x)))
    model = nn.build(nn.Add()(nn.Linear(6)(rows), nn.Linear(6)(nn.Tanh()(rows))))
    shake(model, 3)
    report = written(model, folder, random_images(model, 3))
    assert "Transpose" not in report.operators


@pytest.mark.parametrize("end", [[], [nn.BatchNorm(), nn.Linear(3)], [nn.Softmax()]], ids=len)
def test_rows_that_must_keep_their_order(end, folder):
    """They end the network, or meet numbers of their own that are not a linear layer's."""
    model = built([nn.Conv2d(4, 3), nn.Flatten(), nn.ReLU(), *end], (5, 6, 2))
    report = written(model, folder, random_images(model, 3))
    assert report.operators["Transpose"] == 1


@pytest.mark.parametrize("shape", [(1, 1, 6), (4, 5, 1)], ids=str)
def test_rows_of_one_pixel_or_one_channel_need_no_order(shape, folder):
    model = built([nn.Flatten(), nn.BatchNorm()], shape)
    report = written(model, folder, random_images(model, 3))
    assert "Transpose" not in report.operators


# -- networks ----------------------------------------------------------------------------------
SMALL = {"f34": (64, 64, 3)}  # in place of 224 x 224


# vgg16 has nothing that vgg13_like and vgg13_stl have not, but 540 MB of weights.
NAMES = [n for n in models.names() if n not in ("vgg16", "f34")]


@pytest.mark.parametrize("name", [*NAMES, pytest.param("f34", marks=pytest.mark.slow)])
def test_networks_by_name(name, folder):
    model = models.build(name, SMALL.get(name), classes=5)
    shake(model, 1)
    report = written(model, folder, random_images(model, 2))
    assert "BatchNormalization" not in report.operators
    assert report.output == ("output", ("N", 5))


@FEW
@given(networks(), st.booleans(), st.sampled_from(["nchw", "nhwc"]), st.sampled_from([13, 17, 22]))
def test_random_networks(folder, model, fold, layout, opset):
    images = random_images(model, 3)
    report = written(model, folder, images, fold=fold, layout=layout, opset=opset)
    norms = sum(n.op.name == "batch_norm" for n in model.graph.nodes)
    kept = report.operators.get("BatchNormalization", 0)
    assert kept == norms if not fold else kept <= norms


@FEW
@given(networks(), st.data())
def test_pruned_networks(folder, model, data):
    """Channels as ragged as pruning makes them."""
    pruning = pruning_map(model.graph, include=("conv2d", "linear"))
    widths, chosen = pruning.widths(), []
    for unit in data.draw(st.permutations(pruning.units)) if pruning.units else []:
        if len(chosen) < 6 and pruning.removable(unit, widths):
            chosen.append(unit)
            for layer, _ in unit.members:
                widths[layer] -= 1
    assume(chosen)
    smaller, _ = remove(model, pruning, chosen)
    written(smaller, folder, random_images(smaller, 3))


@FEW
@given(networks(), st.sampled_from(["block", "step", "sigmoid"]), st.booleans())
def test_gates_are_folded(folder, model, kind, fold):
    try:
        gated = attach_blocks(model) if kind == "block" else attach_gates(model, kind)
    except ValueError:  # no layer that can be pruned
        assume(False)
    rng = np.random.default_rng(0)
    for g in gates_of(gated.graph):
        t = gated.tensors[g.m]
        t.copy_from(rng.uniform(-0.1, 0.1, t.shape).astype(np.float32))
    again = Model(Graph.from_json(gated.graph.to_json()), gated.tensors)  # as from a file
    written(again, folder, random_images(again, 3), fold=fold)
