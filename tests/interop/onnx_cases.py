"""The node tests that ship in the `onnx` package, as one-operator networks for our reader.

The tests hold a model of one node whose parameters are inputs; here they become constants, as they are
in files of networks. What remains an input is what a network computes.
"""

from __future__ import annotations

import importlib
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

from sentei.io.onnx_in import OPERATORS, Reading
from sentei.io.onnx_in.node import NodeView
from sentei.io.onnx_in.proto import parse
from sentei.io.onnx_in.registry import FOLDS
from sentei.io.onnx_in.values import Const

# Modules of onnx.backend.test.case.node that hold tests of our operators.
MODULES = (
    "add", "averagepool", "batch_normalization", "clip", "concat", "conv", "div", "dropout", "elu", "flatten",
    "gemm", "globalaveragepool", "globalmaxpool", "identity", "leakyrelu", "matmul", "maxpool", "mish",
    "mul", "pad", "prelu", "reducemean", "relu", "reshape", "shape", "sigmoid", "size", "softmax",
    "softplus", "squeeze", "sum", "tanh", "transpose", "unsqueeze",
)  # fmt: skip
COMPUTED = {"Add": 2, "Sum": 64, "Concat": 64}  # inputs that a network computes; 1 for all others

# What is not applicable, and why. Each of these is refused in one sentence, or its output is random.
_TYPE = "values of a network are float32 tensors"
_RANK = "convolutions and pools are two-dimensional"
_SAMPLES = "the samples of a batch stay apart"
_TWO = "factors are constants: one number, or one per channel; sums have one shape"
_SECOND = "only the first output of an operator exists"
RANDOM = "its output is random; ours draws other numbers"
_BORDER = "the border of a mean counts as zeros, that of other pads is 0"
_HOLES = "pools have no holes, mean windows do not hang over the border"
_AXES = "softmax is over features or channels, a mean over the image"
_SLOPE = "a learnt slope is one number for the layer"
_SHAPE = "its output is no value of a network (arithmetic on constants is tested apart)"
EXCLUDED = {
    "add_*int*": _TYPE, "clip_default_int8_*": _TYPE, "div_*int*": _TYPE, "mul_*int*": _TYPE,
    "maxpool_2d_uint8": _TYPE, "edge_pad": _TYPE, "reflect_pad": _TYPE, "wrap_pad": _TYPE,
    "identity_sequence": _TYPE, "identity_opt": _TYPE, "reshape_allowzero_reordered": _TYPE,
    "averagepool_1d_*": _RANK, "averagepool_3d_*": _RANK, "maxpool_1d_*": _RANK,
    "maxpool_3d_*": _RANK,
    "concat_1d_*": _SAMPLES, "concat_*d_axis_0": _SAMPLES, "concat_2d_axis_negative_2": _SAMPLES,
    "concat_3d_axis_negative_3": _SAMPLES, "flatten_axis[023]": _SAMPLES,
    "flatten_negative_axis[124]": _SAMPLES, "gemm_transposeA": _SAMPLES,
    "gemm_all_attributes": _SAMPLES, "reshape_reordered_all_dims": _SAMPLES,
    "reshape_one_dim": _SAMPLES, "reshape_negative_extended_dims": _SAMPLES, "squeeze": _SAMPLES,
    "transpose_default": _SAMPLES, "transpose_all_permutations_[2345]": _SAMPLES,
    "unsqueeze_axis_0": _SAMPLES, "matmul_[34]d*": _SAMPLES, "matmul_1d_*": _SAMPLES,
    "add_bcast": _TWO, "div_example": _TWO, "div": _TWO, "div_bcast": _TWO, "mul_example": _TWO,
    "mul": _TWO, "mul_bcast": _TWO, "mish_expanded": _TWO, "gemm_default_matrix_bias": _TWO,
    "matmul_bcast": _TWO,
    "batchnorm_*_training_mode": _SECOND, "*dropout*_mask*": _SECOND,
    "maxpool_with_argmax_*": _SECOND,
    "training_dropout": RANDOM, "training_dropout_default": RANDOM,
    "averagepool_2d_precomputed_pads": _BORDER, "averagepool_2d_pads": _BORDER,
    "averagepool_2d_*same_*": _BORDER, "constant_pad*": _BORDER,
    "averagepool_2d_ceil*": _HOLES, "*pool_2d_dilations": _HOLES,
    "softmax_axis_*": _AXES, "softmax_negative_axis": _AXES, "softmax_default_axis": _AXES,
    "reduce_mean_*": _AXES, "concat_3d_axis_2": _AXES, "concat_3d_axis_negative_1": _AXES,
    "prelu_*": _SLOPE, "shape*": _SHAPE, "size*": _SHAPE,
}  # fmt: skip


def cases() -> dict[str, Any]:
    """All node tests whose operators are all ours, by name."""
    node = importlib.import_module("onnx.backend.test.case.node")
    for name in MODULES:
        importlib.import_module(f"onnx.backend.test.case.node.{name}")
    found = {}
    for case in node._NodeTestCases:
        nodes = case.model.graph.node
        if all(n.op_type in OPERATORS and n.domain in ("", "ai.onnx") for n in nodes):
            found[case.name.removeprefix("test_")] = case
    return found


def excluded(name: str) -> str | None:
    """Why a test is not applicable."""
    return next((why for p, why in EXCLUDED.items() if fnmatchcase(name, p)), None)


def as_network(case: Any) -> tuple[bytes, dict[str, np.ndarray], list[np.ndarray]]:
    """(file, what is fed, what is wanted): all inputs but those that a network computes are constants."""
    from onnx import ModelProto, numpy_helper

    model = ModelProto()
    model.CopyFrom(case.model)
    arrays, wanted = case.data_sets[0]
    computed = COMPUTED.get(model.graph.node[0].op_type, 1)
    fed = {}
    infos = list(model.graph.input)
    del model.graph.input[:]
    for i, (info, array) in enumerate(zip(infos, arrays, strict=True)):
        if i < computed:
            model.graph.input.append(info)
            fed[info.name] = array
        else:
            model.graph.initializer.append(numpy_helper.from_array(np.asarray(array), info.name))
    return model.SerializeToString(), fed, list(wanted)


def own(array: np.ndarray, value: Any) -> np.ndarray:
    """An array of ONNX as it lies in our graph."""
    rows = array.reshape(len(array), -1)[:, value.layout.index()]
    return np.ascontiguousarray(rows.reshape(len(array), *value.own))


def theirs(array: np.ndarray, value: Any) -> np.ndarray:
    """An array of our graph as ONNX has it."""
    rows = np.empty((len(array), value.size), np.float32)
    rows[:, value.layout.index()] = array.reshape(len(array), -1)
    return rows.reshape(len(array), *value.shape)


def run(reading: Reading, fed: dict[str, np.ndarray]) -> list[np.ndarray]:
    """The outputs of a reading, in the order of ONNX."""
    from sentei.passes import inference
    from sentei.run import Runner

    given = {v.name: own(fed[k], v) for k, v in reading.inputs.items()}
    batch = len(next(iter(fed.values())))
    if not reading.graph.nodes:  # only axes were renamed
        return [theirs(given[v.name], v) for v in reading.outputs.values()]
    graph = inference(reading.graph)
    runner = Runner(graph, reading.tensors, batch, device="cpu")
    runner.run(**{k: a for k, a in given.items() if k in runner.inputs})
    names = dict(zip(reading.graph.outputs, graph.outputs, strict=True))
    return [theirs(runner.fetch(names[v.name]), v) for v in reading.outputs.values()]


FOLD_MODULES = (
    "abs", "add", "cast", "ceil", "concat", "constant", "constantofshape", "div", "equal", "expand",
    "floor", "gather", "greater", "identity", "less", "mul", "neg", "not_", "rangeop", "reciprocal",
    "reduceprod", "reshape", "shape", "size", "slice", "sqrt", "squeeze", "sub", "transpose",
    "unsqueeze", "where",
)  # fmt: skip
_RARE = (
    "numbers of 8, 4 and 2 bits, bfloat16, sequences and texts do not occur in arithmetic on shapes"
)
NOT_FOLDED = {
    "*BFLOAT16*": _RARE, "cast_*FLOAT8*": _RARE, "cast_*FLOAT4*": _RARE, "cast_*INT[24]*": _RARE,
    "range_bfloat16_*": _RARE, "identity_sequence": _RARE, "identity_opt": _RARE,
    "equal_string*": _RARE, "not_*": "written for opset 1",
}  # fmt: skip


def fold_cases() -> dict[str, Any]:
    """Node tests of the operators that are computed on constants."""
    for name in FOLD_MODULES:
        importlib.import_module(f"onnx.backend.test.case.node.{name}")
    node = importlib.import_module("onnx.backend.test.case.node")
    return {
        case.name.removeprefix("test_"): case
        for case in node._NodeTestCases
        if len(case.model.graph.node) == 1 and case.model.graph.node[0].op_type in FOLDS
    }


def not_folded(name: str) -> str | None:
    return next((why for p, why in NOT_FOLDED.items() if fnmatchcase(name, p)), None)


def run_fold(case: Any) -> tuple[np.ndarray, np.ndarray]:
    """(got, wanted) of one operator on constants."""
    from onnx import ModelProto

    model = ModelProto()
    model.CopyFrom(case.model)
    del model.graph.input[:]  # all of them are constants
    raw = parse(model.SerializeToString()).nodes[0]
    arrays, wanted = case.data_sets[0]
    given = iter(arrays)
    inputs = [_array(next(given)) if name else None for name in raw.inputs]
    values = [None if a is None else Const(a) for a in inputs]
    view = NodeView(raw, values, model.opset_import[0].version, ())
    got = np.asarray(FOLDS[raw.op](view, inputs))
    view.finish()
    return got, _array(wanted[0])


def _array(x: Any) -> np.ndarray:
    from onnx import TensorProto, numpy_helper

    return numpy_helper.to_array(x) if isinstance(x, TensorProto) else np.asarray(x)
