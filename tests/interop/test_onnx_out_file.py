"""What an exported file holds, what is refused, and that a wrong one is never written."""

from __future__ import annotations

import dataclasses
import json
import sys
from typing import ClassVar

import numpy as np
import pytest

from command import sentei
from extras import need
from networks import random_images, shake
from onnx_written import channels_first, runtime
from sentei import __version__, io, nn
from sentei.graph import Graph, Spec
from sentei.io import ExportError, ExportMismatchError, export_onnx
from sentei.io.onnx_out import describe_onnx, proto, session
from sentei.model import Model
from sentei.ops import CHANNEL_SCALE, CONV2D, LINEAR, MASK_MULTIPLY, RELU
from sentei.run.timing import EACH
from sentei.tensor import Tensor
from sentei.workflow import exporting
from sentei.workflow.exporting import beside_runtime

onnx = need("onnx")
need("onnxruntime")

STANDARDIZE = {"mean": [0.4, 0.5, 0.3], "std": [0.2, 0.3, 0.1]}


@pytest.fixture
def model() -> Model:
    layers = [
        nn.Conv2d(4, 3),
        nn.BatchNorm(),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(3),
    ]
    model = nn.build(nn.Sequential(*layers), (8, 7, 3), seed=1)
    shake(model, 1)
    model.meta["data"] = {"standardize": STANDARDIZE, "classes": ["cat", "dog", "über"]}
    return model


def swap(monkeypatch, op, to_onnx):
    """Give an op another form for a while."""
    changed = dataclasses.replace(op, to_onnx=to_onnx)
    monkeypatch.setattr("sentei.graph._OPS", {**sys.modules["sentei.graph"]._OPS, op.name: changed})


def reread(model: Model) -> Model:
    """The model with the records that hold now, as from a file."""
    return Model(Graph.from_json(model.graph.to_json()), model.tensors, model.meta)


# -- what the file says ------------------------------------------------------------------------
def test_the_file(model, tmp_path):
    report = export_onnx(model, tmp_path / "m.onnx")
    file = onnx.load(tmp_path / "m.onnx")
    onnx.checker.check_model(file, full_check=True)
    assert (file.producer_name, file.producer_version) == ("sentei", __version__)
    assert [(o.domain, o.version) for o in file.opset_import] == [("", 17)]
    assert file.ir_version == 8
    ends = [
        (v.name, [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim])
        for v in (*file.graph.input, *file.graph.output)
    ]
    assert ends == [("input", ["N", 3, 8, 7]), ("output", ["N", 3])]
    assert ends == [(n, list(s)) for n, s in (report.input, report.output)]
    about = {p.key: p.value for p in file.metadata_props}
    assert json.loads(about["classes"]) == ["cat", "dog", "über"]
    assert json.loads(about["standardize"]) == STANDARDIZE and about["pixels"] == "standardized"
    assert int(about["macs"]) == model.costs().macs
    assert int(about["parameters"]) == model.costs().params
    assert [n.name for n in file.graph.node][:2] == ["conv1", "conv1.relu"]
    assert report.operators == {"Conv": 1, "Flatten": 1, "Gemm": 1, "MaxPool": 1, "Relu": 1}
    assert report.bytes == (tmp_path / "m.onnx").stat().st_size
    found = report.agreement
    assert found.batches == (1, 2, 7) and found.images == 10
    assert 0 < found.largest_relative <= 1e-5
    assert json.loads(json.dumps(report.to_json()))["agreement"]["images"] == 10


def test_the_same_file_twice(model, tmp_path):
    for k in "ab":
        export_onnx(model, tmp_path / f"{k}.onnx", check=False)
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()


def test_a_fixed_batch(model, tmp_path):
    report = export_onnx(model, tmp_path / "m.onnx", batch=4)
    assert report.input[1] == (4, 3, 8, 7) and report.agreement.batches == (4,)
    images = channels_first(random_images(model, 5))
    assert runtime(tmp_path / "m.onnx", images[:4]).shape == (4, 3)
    with pytest.raises(Exception, match=r"(?i)dimension"):
        runtime(tmp_path / "m.onnx", images)


@pytest.mark.parametrize("pixels", ["unit", "byte"])
@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
def test_the_file_standardises(model, tmp_path, pixels, layout):
    report = export_onnx(model, tmp_path / "m.onnx", pixels=pixels, layout=layout)
    assert report.metadata["pixels"] == pixels and "standardize" not in report.metadata
    levels = np.random.default_rng(0).integers(0, 256, (4, 8, 7, 3))
    unit = levels / 255.0
    want = model.predict(((unit - STANDARDIZE["mean"]) / STANDARDIZE["std"]).astype(np.float32))
    images = (levels if pixels == "byte" else unit).astype(np.float32)
    given = images if layout == "nhwc" else channels_first(images)
    got = runtime(tmp_path / "m.onnx", given)
    assert np.abs(got - want).max() <= 1e-5 * np.abs(want).max()


def test_softmax_once(model, tmp_path):
    report = export_onnx(model, tmp_path / "m.onnx", softmax=True)
    assert report.operators["Softmax"] == 1 and report.agreement.largest_relative <= 1e-5
    images = random_images(model, 3)
    got = runtime(tmp_path / "m.onnx", channels_first(images))
    np.testing.assert_allclose(got.sum(axis=1), 1, rtol=1e-6)
    assert (got.argmax(axis=1) == model.predict(images).argmax(axis=1)).all()
    ends = nn.build(nn.Softmax()(nn.Linear(3)(nn.Input((5,)))))
    again = export_onnx(ends, tmp_path / "again.onnx", softmax=True)
    assert again.operators == {"Gemm": 1, "Softmax": 1}


def test_names_of_a_network_that_are_those_of_the_file(tmp_path):
    """Nodes may be called input, output, N or zero; what a file calls so is something else."""
    g = Graph()
    g.add_input("x", Spec((-1, 4)))
    tensors = {}
    at = "x"
    for name in ("output", "input", "zero", "N"):
        g.add_param(f"{name}.w", Spec((4, 4)))
        w = np.random.default_rng(len(tensors)).standard_normal((4, 4)).astype(np.float32)
        tensors[f"{name}.w"] = Tensor.from_numpy(w)
        (at,) = g.add(LINEAR, (at, f"{name}.w", None), {}, name)
    g.outputs = (at,)
    m = Model(g, tensors)
    export_onnx(m, tmp_path / "m.onnx")
    images = random_images(m, 3)
    np.testing.assert_allclose(runtime(tmp_path / "m.onnx", images), m.predict(images), rtol=1e-4)


def test_a_weight_that_two_layers_share(tmp_path):
    """One sees rows in the order of the file, the other in ours: the file holds both."""
    x = nn.Input((2, 3, 4))
    first = nn.Linear(5)(nn.Flatten()(x))
    second = nn.Linear(5)(nn.BatchNorm()(nn.Flatten()(x)))
    model = nn.build(nn.Add()(first, second))
    shake(model, 0)
    data = model.graph.to_json()
    one, other = (n for n in data["nodes"] if n["op"] == "linear")
    other["inputs"][1] = one["inputs"][1]
    shared = Model(Graph.from_json(data), model.tensors)
    w = one["inputs"][1]
    plan = describe_onnx(shared, fold=False)
    assert {w, f"{w}_2"} <= set(plan.constants)
    assert np.array_equal(np.sort(plan.constants[w]), np.sort(plan.constants[f"{w}_2"]))
    export_onnx(shared, tmp_path / "m.onnx", fold=False)
    data = model.graph.to_json()  # now both in the order of the file
    data["nodes"] = [n for n in data["nodes"] if n["op"] != "batch_norm"]
    _, tail = (n["name"] for n in model.graph.to_json()["nodes"] if n["op"] == "flatten")
    one, other = (n for n in data["nodes"] if n["op"] == "linear")
    other["inputs"][:2] = [tail, w]
    plain = Model(Graph.from_json(data), model.tensors)
    assert w in describe_onnx(plain).constants and f"{w}_2" not in describe_onnx(plain).constants
    export_onnx(plain, tmp_path / "m.onnx")


# -- a wrong file is never written -------------------------------------------------------------
def _filters_not_turned(ctx, node):
    x, w, b = node.inputs
    filters = np.ascontiguousarray(ctx.array(w).transpose(0, 3, 2, 1))  # rows and columns mixed up
    ctx.emit("Conv", (x, ctx.constant(filters, w), ctx.constant(ctx.array(b), b)), node.outputs[0])


def _columns_not_turned(ctx, node):
    x, w, b = node.inputs
    given = (x, ctx.constant(ctx.array(w), w), ctx.constant(ctx.array(b), b))
    ctx.emit("Gemm", given, node.outputs[0], transB=1)


@pytest.mark.parametrize(
    ("op", "wrong"), [(CONV2D, _filters_not_turned), (LINEAR, _columns_not_turned)]
)
def test_a_form_that_computes_something_else_is_found(model, tmp_path, monkeypatch, op, wrong):
    swap(monkeypatch, op, wrong)
    path = tmp_path / "m.onnx"
    path.write_bytes(b"before")
    with pytest.raises(
        ExportMismatchError, match=r"differ by at most 0\.0001 of the largest output, got"
    ):
        export_onnx(reread(model), path)
    assert path.read_bytes() == b"before" and list(tmp_path.iterdir()) == [path]


def test_a_form_that_the_checker_refuses(model, tmp_path, monkeypatch):
    swap(monkeypatch, LINEAR, lambda ctx, node: ctx.emit("Gemm", node.inputs[:1], node.outputs[0]))
    with pytest.raises(ExportError, match="the checker of onnx must accept the file"):
        export_onnx(reread(model), tmp_path / "m.onnx", check=False)
    assert not list(tmp_path.iterdir())


def test_a_form_of_another_shape(model, tmp_path, monkeypatch):
    def twice(ctx, node):
        LINEAR.to_onnx(ctx, dataclasses.replace(node, outputs=("half",)))
        ctx.emit("Concat", ("half", "half"), node.outputs[0], axis=1)

    swap(monkeypatch, LINEAR, twice)
    with pytest.raises(ExportError, match="shape"):
        export_onnx(reread(model), tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())


def test_outputs_that_are_not_finite(model, tmp_path):
    model.tensors["fc1.bias"].copy_from(np.array([np.nan, 0, 0], np.float32))
    with pytest.raises(ExportError, match="must give finite outputs for random images"):
        export_onnx(model, tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())


def test_a_file_that_onnx_runtime_refuses():
    with pytest.raises(ExportError, match="ONNX Runtime must load the file, it says: "):
        session(b"no protobuf")


# -- refusals ----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"opset": 12}, "opset must be between 13 and 22, got 12"),
        ({"opset": "17"}, "opset must be between 13 and 22, got '17'"),
        ({"batch": 0}, "batch must be at least 1, or None for any, got 0"),
        ({"layout": "hwc"}, "layout must be one of nchw, nhwc, got 'hwc'"),
        ({"pixels": "raw"}, "pixels must be one of standardized, unit, byte, got 'raw'"),
    ],
    ids=str,
)
def test_options(model, tmp_path, options, message):
    with pytest.raises(ExportError, match=f"export: {message}"):
        export_onnx(model, tmp_path / "m.onnx", **options)
    assert not list(tmp_path.iterdir())


def test_pixels_need_figures(model, tmp_path):
    model.meta["data"]["standardize"] = {"mean": [0.5], "std": [1.0]}
    with pytest.raises(ExportError, match="keep mean and deviation of 3 channels, got 1"):
        export_onnx(model, tmp_path / "m.onnx", pixels="unit")
    model.meta = {}
    with pytest.raises(ExportError, match="'standardized' for a model that keeps no mean"):
        export_onnx(model, tmp_path / "m.onnx", pixels="unit")


def ends_in(op, inputs, **attrs) -> Model:
    """A network of one node on x, (N, 2, 2, 3), whose further inputs are parameters or x."""
    g = Graph()
    g.add_input("x", Spec((-1, 2, 2, 3)))
    tensors = {}
    for name, shape in inputs.items():
        g.add_param(name, Spec(shape))
        tensors[name] = Tensor.from_numpy(np.ones(shape, np.float32))
    g.outputs = g.add(op, ("x", *inputs), attrs, "last")
    return Model(g, tensors)


def test_an_op_without_a_form(tmp_path):
    masked = ends_in(MASK_MULTIPLY, {"mask": (1, 2, 2, 3)}, factor=1.0)
    with pytest.raises(
        ExportError, match=r"the node 'last' \(mask_multiply\) must have a form in ONNX: its mask"
    ):
        export_onnx(masked, tmp_path / "m.onnx")


def test_numbers_and_values_do_not_change_places(tmp_path):
    g = Graph()
    g.add_input("x", Spec((-1, 4)))
    (rows,) = g.add(RELU, ("x",))
    g.outputs = g.add(LINEAR, ("x", rows, None))
    with pytest.raises(
        ExportError, match=r"'linear' \(linear\) must have a form in ONNX: relu must be a parameter"
    ):
        describe_onnx(Model(g, {}))
    scaled = ends_in(CHANNEL_SCALE, {"m": (3,)}).graph.to_json()
    scaled["nodes"].insert(0, {"name": "twice", "op": "add", "inputs": ["m", "m"], "attrs": {}})
    scaled["nodes"][1]["inputs"][1] = "twice"
    tensors = {"m": Tensor.from_numpy(np.ones(3, np.float32))}
    with pytest.raises(
        ExportError, match=r"'twice' \(add\) .* input 'm' must be computed from the image"
    ):
        export_onnx(Model(Graph.from_json(scaled), tensors), tmp_path / "m.onnx")


def test_more_numbers_than_the_format_holds(model, tmp_path, monkeypatch):
    monkeypatch.setattr(proto, "LARGEST", 500)
    with pytest.raises(
        ExportError, match=r"numbers of a file must be at most 500 bytes, .* got [\d,]+ \("
    ):
        export_onnx(model, tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("package", ["onnx", "onnxruntime"])
def test_a_missing_package(model, tmp_path, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(
        ExportError, match=rf'{package} is needed and not installed: pip install "sentei\[onnx\]"'
    ):
        export_onnx(model, tmp_path / "m.onnx")
    assert describe_onnx(model).nodes  # which needs neither


# -- command line ------------------------------------------------------------------------------
class TestCommand:
    words: ClassVar = ("--seconds", 0.01)

    @pytest.fixture
    def saved(self, model, tmp_path):
        io.save(model, tmp_path / "net.safetensors")
        return tmp_path / "net.safetensors"

    def test_beside_the_model(self, saved):
        found = sentei("export", saved, "--bench", *self.words)
        assert found.code == 0, found.err
        assert saved.with_suffix(".onnx").exists()
        assert "takes       input (N, 3, 8, 7)" in found.out and "difference  " in found.out
        assert found.out.count("ONNX Runtime needs") == 2
        assert "comparing it in ONNX Runtime" in found.err

    def test_json(self, saved, tmp_path):
        words = ("--out", tmp_path / "o.onnx", "--json", "--bench", "--batch", 3, *self.words)
        found = sentei("export", saved, "--no-fold", "--pixels", "byte", *words)
        assert found.code == 0 and not found.err
        data = found.json()
        assert data["operators"]["BatchNormalization"] == 1 and data["input"]["shape"][0] == 3
        assert list(data["latency"]["sentei"]) == ["3"] == list(data["latency"]["onnxruntime"])
        assert data["latency"]["onnxruntime"]["3"]["median"] > 0

    def test_without_a_run(self, saved):
        found = sentei("export", saved, "--no-check", "--quiet")
        assert found.code == 0 and "not measured" in found.out and not found.err

    def test_a_difference_is_exit_code_1(self, saved, monkeypatch):
        monkeypatch.setattr("sentei.io.onnx_out.verify.LIMIT", 1e-12)
        found = sentei("export", saved)
        assert found.code == 1 and "must differ by at most 1e-12" in found.err
        assert not saved.with_suffix(".onnx").exists()

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (("--to", "tflite"), "to must be one of onnx, got 'tflite'"),
            (("--layout", "chw"), "layout must be one of nchw, nhwc"),
            (("--out", "nowhere/m.onnx"), "out must lie in a folder that is there"),
            (("--opset", 5), "opset must be between 13 and 22, got 5"),
        ],
        ids=str,
    )
    def test_refusals(self, saved, words, message):
        found = sentei("export", saved, *words)
        assert found.code == 2 and message in found.err

    def test_latency_of_a_fixed_batch(self, model, tmp_path):
        export_onnx(model, tmp_path / "m.onnx", batch=2)
        with pytest.raises(
            ExportError, match=r"batch must be 2, which the file has fixed, got \[1\]"
        ):
            beside_runtime(model, tmp_path / "m.onnx", [1], 0.01)
        times = beside_runtime(model, tmp_path / "m.onnx", [2], 0.01)
        assert times.threads >= 1 and times.ratios["2"].low <= times.ratios["2"].ratio


def test_a_turn_begins_with_calls_that_do_not_count():
    calls = []
    run = exporting._settling(lambda: calls.append(1))
    made = []
    for _ in range(2 * (EACH + 1)):
        before = len(calls)
        run()
        made.append(len(calls) - before)
    assert [n > 1 for n in made] == 2 * [True, *[False] * EACH]
