"""Read ONNX files as trainable, prunable networks.

proto.py checks the file; values.py tells how a value of ONNX lies in our memory; builder.py makes the
graph; handlers/ has one function per ONNX operator, found by name in registry.py; read.py drives them.
"""

from sentei.io.onnx_in.read import Reading, import_onnx, read_onnx
from sentei.io.onnx_in.registry import OPERATORS
from sentei.io.onnx_in.verify import Difference, compare_with_onnx

__all__ = ["OPERATORS", "Difference", "Reading", "compare_with_onnx", "import_onnx", "read_onnx"]
