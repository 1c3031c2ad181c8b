"""Files that once were read wrongly, or cost too much: aliases, constants without end, odd casts."""

from __future__ import annotations

import numpy as np
import pytest

from extras import need
from sentei import io
from sentei.errors import DataError

onnx = need("onnx")
helper, numpy_helper = onnx.helper, onnx.numpy_helper
FLOAT = onnx.TensorProto.FLOAT
RNG = np.random.default_rng(0)
W = numpy_helper.from_array(RNG.standard_normal((4, 3, 1, 1)).astype(np.float32), "w")
C = numpy_helper.from_array(np.array([1, 2, 3, 4], np.float32).reshape(1, 4, 1, 1), "c")


def file(nodes, initializers, channels=4, size=5):
    given = [helper.make_tensor_value_info("x", FLOAT, ["n", 3, size, size])]
    made = [helper.make_tensor_value_info("y", FLOAT, None)]
    graph = helper.make_graph(nodes, "g", given, made, initializers)
    opsets = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString()


def node(op, inputs, output, **attrs):
    return helper.make_node(op, inputs.split(), [output], name=f"{op}_{output}", **attrs)


def same_as_runtime(data):
    runtime = need("onnxruntime")
    x = RNG.standard_normal((2, 3, 5, 5)).astype(np.float32)
    session = runtime.InferenceSession(data, providers=["CPUExecutionProvider"])
    (want,) = session.run(None, {"x": x})
    model = io.import_onnx(data)
    got = model.predict(np.ascontiguousarray(x.transpose(0, 2, 3, 1)))
    got = got.transpose(0, 3, 1, 2) if got.ndim == 4 else got
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("alias", ["Identity", "Dropout", "Cast"])
def test_a_constant_behind_an_alias_is_no_bias(alias):
    """a = conv; b = alias(a); y = (b + c) + relu(a): the ReLU must not get c."""
    attrs = {"to": FLOAT} if alias == "Cast" else {}
    inputs = "a zero" if alias == "Dropout" else "a"
    zero = numpy_helper.from_array(np.zeros((), np.float32), "zero")
    nodes = [
        node("Conv", "x w", "a"), node(alias, inputs, "b", **attrs), node("Add", "b c", "d"),
        node("Relu", "a", "r"), node("Add", "d r", "y"),
    ]  # fmt: skip
    data = file(nodes, [W, C, zero] if alias == "Dropout" else [W, C])
    with pytest.raises(DataError, match=r"Add_d.*only as the bias"):
        io.import_onnx(data)


def test_a_constant_behind_the_convolution_alone_is_its_bias():
    nodes = [node("Conv", "x w", "a"), node("Add", "a c", "d"), node("Relu", "d", "y")]
    same_as_runtime(file(nodes, [W, C]))


def test_a_constant_of_a_flattened_map_names_its_node():
    wide = numpy_helper.from_array(np.ones(100, np.float32), "wide")
    nodes = [node("Conv", "x w", "a"), node("Flatten", "a", "f"), node("Add", "f wide", "y")]
    with pytest.raises(DataError, match=r"Add_y.*only as the bias"):
        io.import_onnx(file(nodes, [W, wide]))


def test_casts_to_the_type_of_a_value_are_read():
    six = numpy_helper.from_array(np.array(6, np.float64), "six")
    low = numpy_helper.from_array(np.array(0, np.float64), "low")
    nodes = [
        node("Conv", "x w", "a"), node("CastLike", "low a", "l"), node("CastLike", "six a", "h"),
        node("Clip", "a l h", "y"),
    ]  # fmt: skip
    same_as_runtime(file(nodes, [W, six, low]))


def test_constants_without_end_are_refused():
    shape = numpy_helper.from_array(np.array([1 << 23], np.int64), "shape")
    nodes = [node("ConstantOfShape", "shape", f"big{i}") for i in range(12)]
    total = "big0"
    for i in range(1, 12):
        nodes.append(node("Add", f"{total} big{i}", f"sum{i}"))
        total = f"sum{i}"
    nodes += [node("Conv", "x w", "a"), node("Add", f"a {total}", "y")]
    with pytest.raises(DataError, match="at most 256 MiB in all"):
        io.import_onnx(file(nodes, [W, shape]))


def test_a_batch_norm_of_nonsense_is_refused():
    parts = [numpy_helper.from_array(np.ones(4, np.float32), k) for k in ("s", "b", "m")]
    bad = numpy_helper.from_array(np.array([1, 1, -1, 1], np.float32), "v")
    nodes = [node("Conv", "x w", "a"), node("BatchNormalization", "a s b m v", "y")]
    with pytest.raises(DataError, match="var not negative"):
        io.import_onnx(file(nodes, [W, *parts, bad]))


def test_many_dropouts_take_no_more_than_their_number():
    half = numpy_helper.from_array(np.array(0.5, np.float32), "half")
    nodes = [node("Conv", "x w", "d0")]
    nodes += [node("Dropout", f"d{i} half", f"d{i + 1}") for i in range(200)]
    nodes += [node("Relu", "d200", "y")]
    graph = io.import_onnx(file(nodes, [W, half])).graph
    streams = [n.attrs["stream"] for n in graph.nodes if n.op.name == "dropout"]
    assert streams == list(range(200))


def test_an_export_for_training_is_compared_at_inference(tmp_path):
    """Exported with TrainingMode.PRESERVE: ONNX Runtime would take the statistics of the batch."""
    from command import sentei

    need("onnxruntime")
    parts = [numpy_helper.from_array(RNG.random(4).astype(np.float32) + 0.5, k) for k in "sbmv"]
    half = numpy_helper.from_array(np.array(0.5, np.float32), "half")
    on = numpy_helper.from_array(np.array(True), "on")
    norm = helper.make_node("BatchNormalization", ["a", "s", "b", "m", "v"], ["n", "mean", "var"],
                            name="bn", training_mode=1)  # fmt: skip
    nodes = [node("Conv", "x w", "a"), norm, node("Dropout", "n half on", "d"),
             node("Relu", "d", "y")]  # fmt: skip
    path = tmp_path / "net.onnx"
    path.write_bytes(file(nodes, [W, *parts, half, on]))
    result = sentei("import", path, "--out", tmp_path / "net.safetensors")
    assert result.code == 0, result.err
    assert (tmp_path / "net.safetensors").exists()


def test_a_reshape_that_copies_counts_too():
    """Reshape of a transposed constant is a copy that looks like a view."""
    shape = numpy_helper.from_array(np.array([1 << 13, 1 << 11], np.int64), "shape")
    nodes, last = [node("ConstantOfShape", "shape", "c0")], "c0"
    for i in range(6):
        nodes += [node("Transpose", last, f"t{i}"), node("Reshape", f"t{i} shape", f"c{i + 1}")]
        last = f"c{i + 1}"
    nodes += [node("Conv", "x w", "a"), node("Add", f"a {last}", "y")]
    with pytest.raises(DataError, match="at most 256 MiB in all"):
        io.import_onnx(file(nodes, [W, shape]))
