"""Plain nodes as a checked protobuf of ONNX."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sentei.io.onnx_out.failures import ExportError, extra
from sentei.io.onnx_out.form import Emitter

__all__ = ["LARGEST", "make_bytes"]

LARGEST = (
    2**31 - 2**20
)  # bytes of numbers: a protobuf holds less than 2 GB, and the rest needs room

Shape = Sequence[int | str]


def make_bytes(
    emitter: Emitter,
    given: tuple[str, Shape],
    result: tuple[str, Shape],
    about: Mapping[str, str],
    name: str,
    version: str,
) -> bytes:
    """The file, after the full check of the package onnx and strict inference of shapes.

    Args:
        given, result: name and shape of input and output; words stand for sizes left open.
        about: metadata. name: of the graph. version: of sentei.
    Raises:
        ExportError: more numbers than the format can hold, or the check refuses.
    """
    total = sum(a.nbytes for a in emitter.constants.values())
    if total > LARGEST:
        raise ExportError(
            f"export: the numbers of a file must be at most {LARGEST:,} bytes, the limit of its format, "
            f"got {total:,} (prune the network, or keep it as .safetensors)"
        )
    onnx = extra("onnx")
    h = onnx.helper
    graph = h.make_graph(
        [
            h.make_node(n.kind, n.inputs, [n.output], name=n.name, **_plain(n.attrs))
            for n in emitter.nodes
        ],
        name,
        [h.make_tensor_value_info(given[0], onnx.TensorProto.FLOAT, given[1])],
        [h.make_tensor_value_info(result[0], onnx.TensorProto.FLOAT, result[1])],
        [onnx.numpy_helper.from_array(a, k) for k, a in emitter.constants.items()],
    )
    sets = [h.make_opsetid("", emitter.opset)]
    model = h.make_model(
        graph,
        opset_imports=sets,
        ir_version=h.find_min_ir_version_for(sets),
        producer_name="sentei",
        producer_version=version,
    )
    h.set_model_props(model, dict(about))
    try:
        onnx.checker.check_model(model, full_check=True)
        inferred = onnx.shape_inference.infer_shapes(
            model, check_type=True, strict_mode=True, data_prop=True
        )
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as e:
        raise ExportError(f"export: the checker of onnx must accept the file, it says: {e}") from e
    return bytes(inferred.SerializeToString())


def _plain(attrs: Mapping[str, Any]) -> dict[str, Any]:
    return {k: list(v) if isinstance(v, tuple) else v for k, v in attrs.items()}
