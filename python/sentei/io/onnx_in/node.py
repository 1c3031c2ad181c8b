"""A node as its handler sees it: inputs and attributes fetched with a check each."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentei.errors import DataError
from sentei.io.onnx_in.proto import RawNode, shown, tensor_array
from sentei.io.onnx_in.values import Const, Value

__all__ = ["NodeView"]

_LARGEST = 1 << 20  # of kernels, strides, pads: far above any image


class NodeView:
    """Inputs and attributes of one node; `refuse` makes the sentence that names it."""

    def __init__(
        self,
        raw: RawNode,
        inputs: Sequence[Value | Const | None],
        opset: int,
        used: Collection[str],
    ) -> None:
        self.raw, self.opset, self.used = raw, opset, used  # used: outputs that somebody reads
        self.inputs = tuple(inputs)
        self._read: set[str] = set()

    @property
    def op(self) -> str:
        return self.raw.op

    def refuse(self, text: str) -> DataError:
        """The error: the node, what is not possible, what could be done."""
        return DataError(f"import_onnx: node {shown(self.raw.name)} ({self.op[:60]}): {text}")

    # -- inputs --------------------------------------------------------------------------------
    def count(self, least: int, most: int) -> None:
        """Refuse another number of inputs."""
        if not least <= len(self.inputs) <= most:
            raise self.refuse(f"it must have {least} to {most} inputs, got {len(self.inputs)}")

    def given(self, index: int) -> bool:
        return index < len(self.inputs) and self.inputs[index] is not None

    def value(self, index: int) -> Value:
        """An input that the network computes."""
        x = self.inputs[index] if index < len(self.inputs) else None
        if isinstance(x, Value):
            return x
        got = "none" if x is None else "a constant"
        raise self.refuse(f"input {index} must be computed from the network's input, got {got}")

    def image(self, index: int) -> Value:
        """An input (N, C, H, W)."""
        x = self.value(index)
        if not x.is_image:
            raise self.refuse(
                f"input {index} must be images (N, C, H, W), got sizes {x.shape} per sample; "
                "one- and three-dimensional networks are not read"
            )
        return x

    def const(self, index: int, name: str) -> NDArray[Any]:
        """An input that must be a constant."""
        x = self.inputs[index] if index < len(self.inputs) else None
        if isinstance(x, Const):
            return x.array
        got = "none" if x is None else "a value that the network computes"
        raise self.refuse(f"{name} must be a constant or an initializer, got {got}")

    def weights(self, index: int, name: str) -> NDArray[np.float32]:
        """A constant that becomes a parameter."""
        a = self.const(index, name)
        if a.dtype != np.float32:
            raise self.refuse(f"{name} must be float32, got {a.dtype}; export in float32")
        return a

    def vector(self, index: int, name: str, size: int) -> NDArray[np.float32]:
        """A parameter of `size` numbers."""
        a = self.weights(index, name)
        if a.size != size or a.ndim > 1:
            raise self.refuse(f"{name} must have shape ({size},), got {a.shape}")
        return a.reshape(size)

    def whole(self, index: int, name: str) -> list[int]:
        """A constant of whole numbers: axes, sizes."""
        a = self.const(index, name)
        if a.dtype.kind not in "iu" or a.ndim > 1 or a.size > 64:
            raise self.refuse(
                f"{name} must be a short list of whole numbers, got {a.dtype} {a.shape}"
            )
        return [int(i) for i in a.reshape(-1)]

    def scalar(self, index: int, name: str) -> float | None:
        """One number given as a constant, or None where it is left out."""
        if not self.given(index):
            return None
        a = self.const(index, name)
        if a.size != 1 or a.dtype.kind not in "fiub":
            raise self.refuse(f"{name} must be one number, got {a.dtype} of shape {a.shape}")
        return float(a.reshape(-1)[0])

    def label(self, index: int) -> str:
        """Name of the initializer that an input is, or ""."""
        x = self.inputs[index] if index < len(self.inputs) else None
        return x.name if isinstance(x, Const) else ""

    # -- attributes ----------------------------------------------------------------------------
    def _attr(self, name: str) -> Any:
        self._read.add(name)
        return self.raw.attrs.get(name)

    def has(self, name: str) -> bool:
        return name in self.raw.attrs

    def integer(self, name: str, default: int) -> int:
        v = self._attr(name)
        if v is None:
            return default
        if not isinstance(v, int) or abs(v) > _LARGEST:
            raise self.refuse(f"attribute {name} must be a whole number up to {_LARGEST}")
        return v

    def flag(self, name: str, default: bool = False) -> bool:
        v = self.integer(name, int(default))
        if v not in (0, 1):
            raise self.refuse(f"attribute {name} must be 0 or 1, got {v}")
        return bool(v)

    def number(self, name: str, default: float) -> float:
        v = self._attr(name)
        if v is None:
            return default
        if not isinstance(v, float | int) or not math.isfinite(v):
            raise self.refuse(f"attribute {name} must be a finite number, got {shown(v)}")
        return float(v)

    def text(self, name: str, default: str) -> str:
        v = self._attr(name)
        if v is None:
            return default
        if not isinstance(v, str):
            raise self.refuse(f"attribute {name} must be a text, got {shown(v)}")
        return v

    def integers(
        self, name: str, default: Sequence[int] | None = None, count: int | None = None
    ) -> list[int] | None:
        """A list of whole numbers, of this length where one is given."""
        v = self._attr(name)
        if v is None:
            return None if default is None else list(default)
        if not isinstance(v, list) or any(not isinstance(i, int) or abs(i) > _LARGEST for i in v):
            raise self.refuse(f"attribute {name} must be whole numbers up to {_LARGEST}")
        if count is not None and len(v) != count:
            raise self.refuse(f"attribute {name} must have {count} numbers, got {len(v)}")
        return v

    def constant(self) -> NDArray[Any]:
        """The value of a Constant node."""
        kinds = {"value": None, "value_float": "float32", "value_int": "int64",
                 "value_floats": "float32", "value_ints": "int64"}  # fmt: skip
        for name, dtype in kinds.items():
            v = self._attr(name)
            if v is None:
                continue
            if dtype is None:
                return tensor_array(v, f"node {shown(self.raw.name)}")
            return np.array(v, dtype)
        raise self.refuse("it must have a value of numbers")

    def tensor(self, name: str) -> NDArray[Any] | None:
        """An attribute that is a tensor."""
        v = self._attr(name)
        return None if v is None else tensor_array(v, f"node {shown(self.raw.name)}")

    def ignore(self, *names: str) -> None:
        """Attributes that change nothing here."""
        self._read.update(names)

    def finish(self) -> None:
        """Refuse what no handler asked for: attributes it does not know, outputs it does not give."""
        left = sorted(set(self.raw.attrs) - self._read)
        if left:
            raise self.refuse(f"attribute {shown(left[0])} is not known to this reader")
        if extra := [o for o in self.raw.outputs[1:] if o in self.used]:
            raise self.refuse(
                f"only its first output can be used, got a reader of {shown(extra[0])}; "
                "export the network for inference"
            )

    def axes(self, index: int, rank: int) -> list[int] | None:
        """Axes from input `index` or, before they moved there, from the attribute; counted from 0."""
        found = self.integers("axes")
        if found is None and self.given(index):
            found = self.whole(index, "axes")
        if found is None:
            return None
        if any(not -rank <= a < rank for a in found):
            raise self.refuse(f"axes must lie in the {rank} axes of its input, got {found}")
        axes = [a % rank for a in found]
        if len(set(axes)) != len(axes):
            raise self.refuse(f"axes must be different ones, got {found}")
        return axes

    def one_axis(self, default: int, rank: int, *, past: bool = False) -> int:
        """The attribute `axis`, counted from 0; `past`: may be the end."""
        axis = self.integer("axis", default)
        if not -rank <= axis < rank + past:
            raise self.refuse(f"axis must lie in the {rank} axes of its input, got {axis}")
        return axis + rank if axis < 0 else axis
