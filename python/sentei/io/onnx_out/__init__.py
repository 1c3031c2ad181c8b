"""Write models as ONNX files.

form.py makes plain nodes of ONNX from a graph, by each op's `to_onnx`; proto.py turns them into a checked
protobuf; verify.py runs that in ONNX Runtime against our own network; export.py drives the three.
"""

from sentei.io.onnx_out.export import (
    LAYOUTS,
    OPSET,
    OPSETS,
    PIXELS,
    ExportReport,
    describe_onnx,
    export_onnx,
)
from sentei.io.onnx_out.failures import ExportError, ExportMismatchError
from sentei.io.onnx_out.verify import LIMIT, session

__all__ = [
    "LAYOUTS",
    "LIMIT",
    "OPSET",
    "OPSETS",
    "PIXELS",
    "ExportError",
    "ExportMismatchError",
    "ExportReport",
    "describe_onnx",
    "export_onnx",
    "session",
]
