"""The imported network against ONNX Runtime on the same file."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sentei.errors import DataError
from sentei.io.onnx_in.proto import source_bytes
from sentei.model import Model

__all__ = ["RELATIVE_TOLERANCE", "Difference", "compare_with_onnx", "has_runtime"]

RELATIVE_TOLERANCE = 1e-4  # float32 sums in another order, through a hundred layers


@dataclass(frozen=True)
class Difference:
    """Largest difference of an output, absolute and relative to the largest output; of how many images."""

    absolute: float
    relative: float
    samples: int

    @property
    def passed(self) -> bool:
        return self.relative <= RELATIVE_TOLERANCE

    def __str__(self) -> str:
        return (
            f"largest difference {self.absolute:.2e} absolute, {self.relative:.2e} relative "
            f"(at most {RELATIVE_TOLERANCE:.0e}) on {self.samples} random samples"
        )


def has_runtime() -> bool:
    """Whether ONNX Runtime is installed."""
    return importlib.util.find_spec("onnxruntime") is not None


def compare_with_onnx(
    source: str | os.PathLike[str] | bytes, model: Model, *, samples: int = 4, seed: int = 0
) -> Difference:
    """Run a file in ONNX Runtime and the model that was read from it, on random numbers.

    Args:
        source: the file that import_onnx read, or its bytes. model: what came of it. samples: how many,
        unless the file fixes their number. seed: of the numbers, standard normal.
    Raises:
        DataError: ONNX Runtime is not installed, or refuses the file.
    """
    if not has_runtime():
        raise DataError(
            "compare_with_onnx: ONNX Runtime is needed, which is not installed: "
            'pip install "sentei[onnx]"'
        )
    import onnxruntime

    about = model.meta["onnx"]
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(
            _at_inference(source_bytes(source)), options, providers=["CPUExecutionProvider"]
        )
        names = [o.name for o in session.get_outputs()]
        if about["output"] not in names:
            raise DataError(
                f"compare_with_onnx: the output must be one of the file's, {names}, "
                f"got {about['output']!r}"
            )
        (given,) = [i for i in session.get_inputs() if i.name == about["input"]]
        n = given.shape[0] if isinstance(given.shape[0], int) else samples
        rng = np.random.default_rng(seed)
        ours = rng.standard_normal((n, *model.input_shape), dtype=np.float32)
        theirs = _channels_first(ours).reshape(n, *_inner(given.shape[1:], model.input_shape))
        (want,) = session.run([about["output"]], {about["input"]: theirs})
    except DataError:
        raise
    except Exception as e:
        text = " ".join(str(e).split())
        raise DataError(f"compare_with_onnx: ONNX Runtime must run the file, got: {text}") from e
    got = _channels_first(model.predict(ours, n)).reshape(want.shape)
    absolute = float(np.abs(got.astype(np.float64) - want).max(initial=0.0))
    scale = float(np.abs(want).max(initial=0.0)) or 1.0
    return Difference(absolute, absolute / scale, n)


def _at_inference(data: bytes) -> bytes:
    """The file with batch norms and dropouts as they are at inference, whatever it was exported in."""
    import onnx

    model = onnx.load_from_string(data)
    changed = False
    for n in model.graph.node:
        if n.op_type == "BatchNormalization":
            for a in n.attribute:
                if a.name == "training_mode" and a.i:
                    a.i, changed = 0, True
                    del n.output[1:]
        elif n.op_type == "Dropout" and len(n.input) > 2:
            changed = True
            del n.input[2:]
    return model.SerializeToString() if changed else data


def _channels_first(x: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.ascontiguousarray(np.moveaxis(x, -1, 1)) if x.ndim == 4 else x


def _inner(declared: list[int | str | None], own: tuple[int, ...]) -> tuple[int, ...]:
    """Sizes of a sample in the file; those that it leaves open are the model's."""
    if len(own) == 3:
        return (own[2], own[0], own[1])
    return tuple(int(d) for d in declared if isinstance(d, int))
