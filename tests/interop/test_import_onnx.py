"""Reading ONNX: committed files of each family, names and layouts, and one sentence for all else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extras import need
from helpers import DATA, assert_close
from sentei.data import Standardize
from sentei.errors import DataError
from sentei.io import import_onnx
from sentei.io.onnx_in import read_onnx
from sentei.model import Model
from sentei.passes import inference
from sentei.prune import preview, pruning_map, remove, verify

onnx = need("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

FILES = sorted((DATA / "onnx").glob("*.onnx"))
TERMS = 12_000


def first(x):
    """(N, H, W, C) to (N, C, H, W) and back."""
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2))


def last(x):
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1))


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_files_of_pytorch(path):
    model = import_onnx(path)
    side = model.input_shape[0]
    x = np.random.default_rng(4).standard_normal((2, 3, side, side)).astype(np.float32)
    with np.load(DATA / "onnx" / "said.npz") as said:
        want = said[path.stem]
    assert_close(model.predict(last(x)), want, TERMS)
    pruning = pruning_map(model.graph)
    unit = pruning.units[len(pruning.units) // 2]
    smaller, _ = remove(model, pruning, [unit])
    assert verify(model, smaller, pruning, [unit], last(x)).passed


def test_files_stay_small():
    assert len(FILES) == 5
    assert sum(p.stat().st_size for p in (DATA / "onnx").iterdir()) < 100_000


def test_layers_have_the_names_of_their_modules():
    model = import_onnx(DATA / "onnx" / "resnet.onnx")
    names = [n.name for n in model.graph.nodes]
    assert names[:4] == ["stem.0.0", "stem.0.1", "relu1", "pool1"] and names[-1] == "fc"
    about = model.meta["onnx"]["tensors"]
    assert about["stem.0.0.weight"] == {"name": "stem.0.0.weight", "moved": "KRSC"}
    assert about["stem.0.1.running_var"] == {"name": "stem.0.1.running_var", "moved": "C"}
    assert model.meta["onnx"]["operators"]["BatchNormalization"] == 8


# -- small networks made here ------------------------------------------------------------------
RNG = np.random.default_rng(0)
W = RNG.standard_normal((4, 2, 3, 3)).astype(np.float32)


def net(nodes, weights=None, x=("n", 2, 6, 5), y=None, opset=20, **more):
    """A model of these nodes from "x" to "y"."""
    inputs = [helper.make_tensor_value_info("x", more.pop("dtype", TensorProto.FLOAT), x)]
    outputs = [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in y or ["y"]]
    parts = [numpy_helper.from_array(np.asarray(a), k) for k, a in (weights or {}).items()]
    graph = helper.make_graph(nodes, "g", inputs, outputs, parts)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], **more)


def node(op, inputs, output="y", name="", **attrs):
    return helper.make_node(op, inputs.split(), output.split(), name or f"the_{op}", **attrs)


def conv(**attrs):
    return net([node("Conv", "x w", **attrs)], {"w": W})


def refused(model, message):
    data = model if isinstance(model, bytes) else model.SerializeToString()
    with pytest.raises(DataError, match=message) as e:
        import_onnx(data)
    assert "\n" not in str(e.value)


def test_chains_on_shapes_are_folded():
    """What the older exporter makes of x.view(x.size(0), -1), with a fixed and an open batch."""
    w = RNG.standard_normal((60, 3)).astype(np.float32)
    nodes = [
        node("Shape", "x", "s"), node("Constant", "", "zero", value_int=0),
        node("Gather", "s zero", "n"), node("Constant", "", "ax", value_ints=[0]),
        node("Unsqueeze", "n ax", "n1"), node("Constant", "", "rest", value_ints=[-1]),
        node("Concat", "n1 rest", "target", axis=0), node("Reshape", "x target", "flat"),
        node("MatMul", "flat w", "product"), node("Add", "product b"),
    ]  # fmt: skip
    b = RNG.standard_normal(3).astype(np.float32)
    x = RNG.standard_normal((4, 2, 6, 5)).astype(np.float32)
    want = x.reshape(4, -1).astype(np.float64) @ w + b
    for batch in ("n", 1, 4):
        model = import_onnx(net(nodes, {"w": w, "b": b}, x=(batch, 2, 6, 5)).SerializeToString())
        assert [n.op.name for n in model.graph.nodes] == ["flatten", "linear"]
        assert_close(model.predict(last(x)), want, 60)
        assert bool(model.meta["onnx"]["notes"]) == (batch != "n")


@pytest.mark.parametrize("auto_pad", ["SAME_UPPER", "SAME_LOWER"])
def test_uneven_pads(auto_pad):
    from onnx.reference import ReferenceEvaluator

    model = conv(auto_pad=auto_pad, strides=[2, 2], kernel_shape=[3, 3])
    x = RNG.standard_normal((2, 2, 6, 5)).astype(np.float32)
    (want,) = ReferenceEvaluator(model).run(None, {"x": x})
    got = import_onnx(model.SerializeToString())
    assert [n.op.name for n in got.graph.nodes] == ["pad2d", "conv2d"]
    assert_close(first(got.predict(last(x))), want, 18)


def test_flattened_images_side_by_side():
    """Columns of the linear layer follow each part's own order."""
    w = RNG.standard_normal((3, 90)).astype(np.float32)
    pool = {"kernel_shape": [2, 1], "strides": [2, 1]}
    nodes = [
        node("Flatten", "x", "a"), node("MaxPool", "x", "p", **pool), node("Flatten", "p", "b"),
        node("Concat", "a b", "ab", axis=1), node("Gemm", "ab w", transB=1),
    ]  # fmt: skip
    x = RNG.standard_normal((2, 2, 6, 5)).astype(np.float32)
    pooled = x.reshape(2, 2, 3, 2, 5).max(3)
    want = np.concatenate([x.reshape(2, -1), pooled.reshape(2, -1)], 1).astype(np.float64) @ w.T
    assert_close(import_onnx(net(nodes, {"w": w}).SerializeToString()).predict(last(x)), want, 90)


def test_batch_norm_of_a_flattened_image():
    parts = {k: RNG.random(60).astype(np.float32) + 0.5 for k in ("g", "b", "m", "v")}
    w = RNG.standard_normal((60, 3)).astype(np.float32)
    nodes = [
        node("Flatten", "x", "f"), node("BatchNormalization", "f g b m v", "z"),
        node("MatMul", "z w"),
    ]  # fmt: skip
    x = RNG.standard_normal((3, 2, 6, 5)).astype(np.float32)
    g, b, m, v = (parts[k].astype(np.float64) for k in ("g", "b", "m", "v"))
    want = ((x.reshape(3, -1) - m) / np.sqrt(v + 1e-5) * g + b) @ w
    model = import_onnx(net(nodes, {**parts, "w": w}).SerializeToString())
    assert_close(model.predict(last(x)), want, 200)


def test_open_sizes_need_size():
    model = net([node("Conv", "x w")], {"w": W}, x=("n", 2, "h", "w")).SerializeToString()
    with pytest.raises(DataError, match=r"leaves sizes open, \[2, '\?', '\?'\]: give height"):
        import_onnx(model)
    assert import_onnx(model, size=(9, 7)).input_shape == (9, 7, 2)
    assert import_onnx(model, size=8).input_shape == (8, 8, 2)
    with pytest.raises(DataError, match="size must be one whole number"):
        import_onnx(model, size=(0, 4))


def test_one_of_several_outputs():
    nodes = [node("Conv", "x w", "a"), node("Relu", "a", "y")]
    model = net(nodes, {"w": W}, y=["a", "y"]).SerializeToString()
    with pytest.raises(DataError, match=r"one output, got .*choose one by output="):
        import_onnx(model)
    assert [n.op.name for n in import_onnx(model, output="a").graph.nodes] == ["conv2d"]
    with pytest.raises(DataError, match="output must name a value that a node makes, got 'q'"):
        import_onnx(model, output="q")


def test_scaling_is_kept():
    scaling = Standardize((0.5, 0.4), (0.2, 0.3))
    model = import_onnx(conv().SerializeToString(), scaling=scaling)
    assert Standardize.from_json(model.meta["data"]["standardize"]) == scaling
    with pytest.raises(DataError, match="scaling must be for the 2 channels"):
        import_onnx(conv().SerializeToString(), scaling=Standardize((0.5,), (0.2,)))


def test_shared_weights_are_parted_and_said():
    nodes = [node("Conv", "x w", "a", pads=[1] * 4), node("Relu", "a", "r"),
             node("Conv", "r w", pads=[1] * 4)]  # fmt: skip
    square = RNG.standard_normal((2, 2, 3, 3)).astype(np.float32)
    model = import_onnx(net(nodes, {"w": square}).SerializeToString())
    assert "w was shared by 2 layers, which are now trained apart" in model.meta["onnx"]["notes"]
    assert sum(x.prunable for x in preview(model).layers) == 2


def test_what_no_output_needs_is_not_read():
    nodes = [node("Conv", "x w"), node("NonZero", "x", "unused")]
    assert len(import_onnx(net(nodes, {"w": W}).SerializeToString()).graph.nodes) == 1


# -- refusals ----------------------------------------------------------------------------------
V = np.ones(2, np.float32)
MATRIX = np.ones((60, 3), np.float32)
REFUSALS = [
    (net([node("Erf", "x")]), r"node 'the_Erf' \(Erf\): this operator is not supported .*replace it"),
    (net([node("QLinearConv", "x")]), "quantised networks are not supported; import"),
    (net([node("Conv", "x x")]), "W must be a constant or an initializer, got a value that the"),
    (net([node("Conv", "x v")], {"v": V}), r"W must have shape \(K, C / group, R, S\), got \(2,\)"),
    (net([node("Conv", "x w")], {"w": W.astype(np.float64)}), "W must be float32, got float64"),
    (conv(group=3), "group must divide W of shape"),
    (conv(kernel_shape=[5, 5]), "kernel_shape must be that of W"),
    (conv(strides=[0, 1]), "kernel, strides and dilations must be at least 1"),
    (conv(strides=[1]), "attribute strides must have 2 numbers, got 1"),
    (conv(strides=[1 << 40, 1]), "attribute strides must be whole numbers up to"),
    (conv(pads=[-1, 0, 0, 0]), "pads must be at least 0"),
    (conv(pads=[1 << 19] * 4), "output must have at most|sizes do not fit"),
    (conv(auto_pad="MAYBE"), "auto_pad must be NOTSET, VALID, SAME_UPPER or SAME_LOWER"),
    (conv(colour=3), "attribute 'colour' is not known to this reader"),
    (conv(dilations=[9, 9]), "its sizes do not fit together"),
    (net([node("MaxPool", "x", kernel_shape=[2, 2], dilations=[2, 2])]), "dilations must be 1"),
    (net([node("MaxPool", "x", "y i", kernel_shape=[2, 2])], y=["y", "i"]), "one output"),
    (net([node("AveragePool", "x", kernel_shape=[2, 2], pads=[1, 1, 1, 1])]), "count_include_pad"),
    (net([node("Flatten", "x", axis=2)]), "axis must be 1, so that samples stay apart"),
    (net([node("Flatten", "x")]), "the output is a flattened image"),
    (net([node("Transpose", "x", perm=[1, 0, 2, 3])]), "perm must keep the samples first"),
    (net([node("Reshape", "x s")], {"s": np.array([60, -1])}), "must keep the samples apart"),
    (net([node("Reshape", "x s")], {"s": np.array([0, -1, 7])}), "must hold the sizes"),
    (net([node("Clip", "x a")], {"a": np.float32("nan")}), "min and max must be finite"),
    (net([node("LeakyRelu", "x", alpha=-1.0)]), "alpha must be at least 0"),
    (net([node("Dropout", "x r")], {"r": np.float32(1.0)}), r"ratio must be in \[0, 1\)"),
    (net([node("Softmax", "x", axis=2)]), "features of rows or the channels of images"),
    (net([node("ReduceMean", "x a")], {"a": np.array([1])}), "axes must be those of rows and"),
    (net([node("Add", "x v")], {"v": V}), "only as the bias of the convolution or linear layer"),
    (net([node("Mul", "x x")]), "the factor must be a constant"),
    (net([node("Div", "x v")], {"v": np.zeros(1, np.float32)}), "the factor must be finite and"),
    (net([node("Gemm", "x m")], {"m": MATRIX}), "its input must be rows .* put a Flatten"),
    (net([node("Pad", "x p", mode="reflect")], {"p": np.zeros(8, np.int64)}), "mode must be const"),
    (net([node("Relu", "x x2")]), "its input 'x2' must be an input, an initializer or made by"),
    (net([node("Relu", "b", "y"), node("Relu", "x", "b")]), "its input 'b' must be an input"),
    (net([node("Relu", "y", "y")]), "its input 'y' must be an input"),
    (net([node("Relu", "x"), node("Relu", "x")]), "the value 'y' is made twice"),
    (net([node("Relu", "x", "x")], y=["x"]), "the value 'x' is made twice"),
    (net([node("Relu", "x")], dtype=TensorProto.DOUBLE), "input 'x' must be float32, got float64"),
    (net([node("Relu", "x")], x=("n", 2, -6, 5)), "must have sizes of at least 1, got -6"),
    (net([node("Relu", "x")], x=("n", 2, 1 << 28, 5)), "must have at most 67108864 elements"),
    (net([node("Relu", "x")], opset=5), "opset must be 6 to"),
    (net([node("Relu", "x")], opset=99), "opset must be 6 to"),
    (net([node("Relu", "v")], {"v": V}), "the output must depend on an input"),
    (b"", "must hold a network with at least one node"),
    (b"\x08\x07garbage", "must be a whole ONNX model|must hold a network"),
]  # fmt: skip


@pytest.mark.parametrize(("model", "message"), REFUSALS, ids=[m[:40] for _, m in REFUSALS])
def test_refused_in_one_sentence(model, message):
    refused(model, message)


def test_external_data(tmp_path):
    model = conv()
    t = model.graph.initializer[0]
    t.ClearField("raw_data")
    t.data_location = TensorProto.EXTERNAL
    t.external_data.add(key="location", value="../../etc/passwd")
    refused(model, "external data is not read; save one file")


@pytest.mark.parametrize(
    ("dims", "message"),
    [
        ([4, 2, 3, 4], "must have 384 bytes for sizes"),
        ([1 << 20, 1 << 20], "must have at most 2147483647 bytes"),
        ([1 << 62, 4], "must have at most 2147483647 bytes"),
        ([-4, -2, 3, 3], "none negative"),
        ([1] * 9, "at most 8 sizes"),
    ],
)
def test_lying_tensors(dims, message):
    model = conv()
    del model.graph.initializer[0].dims[:]
    model.graph.initializer[0].dims.extend(dims)
    refused(model, message)


def test_lying_lists_of_numbers():
    model = conv()
    t = model.graph.initializer[0]
    t.ClearField("raw_data")
    t.float_data.extend([1.0] * 71)
    refused(model, "must have 72 elements for sizes .* got 71")


def test_functions_subgraphs_and_other_domains():
    model = conv()
    model.functions.add(name="f", domain="own")
    refused(model, "functions must be inlined, got 'f'")
    body = net([node("Relu", "x")]).graph
    refused(net([node("If", "x", then_branch=body)]), "subgraphs and sparse tensors are not read")
    refused(net([node("Relu", "x", domain="com.own")]), "only operators of ai.onnx are read")
    model = conv()
    model.graph.node[0].attribute.add(name="group", ref_attr_name="g", type=2)
    refused(model, "must have a value, got a reference")
    model = conv()
    model.graph.sparse_initializer.add()
    refused(model, "sparse initializers are not read")


def test_folding_is_bounded():
    many = [1 << 20, 1 << 20]
    nodes = [node("ConstantOfShape", "s", "c"), node("Add", "x c")]
    refused(net(nodes, {"s": np.array(many)}), "must have at most 16777216 elements")
    nodes = [node("Expand", "v s", "c"), node("Add", "x c")]
    refused(net(nodes, {"v": V[:1], "s": np.array(many)}), "must have at most 16777216 elements")


def test_no_file_and_a_folder(tmp_path):
    with pytest.raises(FileNotFoundError):
        import_onnx(tmp_path / "none.onnx")
    with pytest.raises(DataError, match="must be a file"):
        import_onnx(tmp_path)


def test_truncated():
    whole = (DATA / "onnx" / "squeezenet.onnx").read_bytes()
    for cut in range(0, len(whole), 331):
        with pytest.raises(DataError):
            import_onnx(whole[:cut])


BYTES = [p.read_bytes() for p in FILES if p.stem in ("squeezenet", "mobilenet_v2")]


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    st.sampled_from(range(len(BYTES))),
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=6),
)
def test_flipped_bytes_give_one_kind_of_error_or_a_network(which, flips):
    data = bytearray(BYTES[which])
    for place, value in flips:
        data[int(place * (len(data) - 1))] = value
    try:
        model = import_onnx(bytes(data))
    except DataError:
        return
    assert isinstance(model, Model)
    shape = model.input_shape
    if np.prod(shape) < 1 << 16:
        model.predict(np.zeros((1, *shape), np.float32))


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.data())
def test_changed_messages_too(data):
    """Flips in the description itself, where bytes of weights would seldom be hit."""
    proto = onnx.ModelProto()
    proto.ParseFromString(BYTES[0])
    n = data.draw(st.sampled_from(list(proto.graph.node)))
    what = data.draw(st.sampled_from(["op", "input", "output", "ints", "int", "dims", "type"]))
    number = data.draw(st.sampled_from([-(2**63), -1, 0, 1, 2, 3, 255, 2**31, 2**63 - 1]))
    if what == "op":
        n.op_type = data.draw(st.sampled_from([*read_onnx.__globals__["OPERATORS"], "", "?"]))
    elif what in ("input", "output"):
        names = getattr(n, what)
        names[0] = data.draw(st.sampled_from([v for m in proto.graph.node for v in m.input] + [""]))
    elif what == "dims":
        t = data.draw(st.sampled_from([t for t in proto.graph.initializer if t.dims]))
        t.dims[0] = number
    elif n.attribute:
        a = data.draw(st.sampled_from(list(n.attribute)))
        if what == "type":
            a.type = data.draw(st.sampled_from(range(1, 15)))
        elif what == "ints" and a.ints:
            a.ints[0] = number
        else:
            a.i = number
    try:
        model = import_onnx(proto.SerializeToString())
    except DataError:
        return
    inference(model.graph)


def test_without_the_package(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(DataError, match=r"reading ONNX needs the package onnx, .*sentei\[onnx\]"):
        import_onnx(BYTES[0])


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_there_and_back(tmp_path, path):
    """What we write of a network that we read says the same."""
    need("onnxruntime")
    from sentei.io import export_onnx

    model = import_onnx(path)
    export_onnx(model, tmp_path / "back.onnx")
    x = RNG.standard_normal((3, *model.input_shape)).astype(np.float32)
    again = import_onnx(tmp_path / "back.onnx")
    assert_close(again.predict(x), model.predict(x), TERMS)


@pytest.mark.parametrize(
    ("op", "attrs"),
    [
        ("Conv", {"auto_pad": "SAME_UPPER", "strides": [2, 2]}),
        ("MaxPool", {"auto_pad": "SAME_LOWER", "kernel_shape": [2, 2]}),
        ("Clip", {}),
    ],
)
def test_borders_and_ranges_are_written(tmp_path, op, attrs):
    """pad2d and clip as ONNX Runtime runs them; export_onnx compares before it writes."""
    need("onnxruntime")
    from sentei.io import export_onnx

    inputs = {"Conv": "x w", "MaxPool": "x", "Clip": "x low"}[op]
    file = net([node(op, inputs, **attrs)], {"w": W, "low": np.float32(-0.5)})
    report = export_onnx(import_onnx(file.SerializeToString()), tmp_path / "back.onnx")
    assert report.agreement.largest_relative < 1e-6
    assert report.operators[op] == 1
