"""What becomes of each ONNX operator; importing a module here puts its functions in the registry."""

from sentei.io.onnx_in.handlers import constants, elementwise, join, layers, pools, shapes

__all__ = ["constants", "elementwise", "join", "layers", "pools", "shapes"]
