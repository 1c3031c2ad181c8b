"""Does ONNX Runtime give for the file what our own network gives?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentei.io.onnx_out.failures import ExportError, ExportMismatchError, extra

__all__ = ["LIMIT", "Agreement", "compare", "session"]

LIMIT = 1e-4  # largest difference, relative to the largest output

Images = NDArray[Any]
Outputs = NDArray[np.float32]


@dataclass(frozen=True)
class Agreement:
    """Largest difference of any output, absolute, and over the largest output; on so many images."""

    largest_absolute: float
    largest_relative: float
    images: int
    batches: tuple[int, ...]


def session(file: bytes | str, threads: int | None = None) -> Any:
    """A session of ONNX Runtime on the CPU.

    Args:
        file: its bytes or its path. threads: as many as sentei uses if None.
    Raises:
        ExportError: ONNX Runtime is not installed, or refuses the file.
    """
    from sentei.device import threads as own

    runtime = extra("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = own() if threads is None else threads
    options.log_severity_level = 3
    try:
        return runtime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    except Exception as e:  # its exceptions have no common base but this one
        raise ExportError(f"export: ONNX Runtime must load the file, it says: {e}") from e


def compare(
    file: bytes,
    draw: Callable[[int], Images],
    ours: Callable[[Images], Outputs],
    batches: Sequence[int],
) -> Agreement:
    """Run a file and our own network on the same images.

    d = max |theirs - ours|;  relative: d / max |ours|, both over all images of all batches

    Args:
        draw: so many images, as the file takes them. ours: what they should give. batches: sizes.
    Raises:
        ExportMismatchError: another shape, or the relative difference is above LIMIT.
        ExportError: our own outputs are not finite; ONNX Runtime is missing or fails.
    """
    runner = session(file)
    name = runner.get_inputs()[0].name
    difference = scale = 0.0
    for n in batches:
        images = draw(n)
        want = ours(images)
        if not np.isfinite(want).all():
            raise ExportError(
                "export: the network must give finite outputs for random images, got NaN or infinity"
            )
        try:
            got = runner.run(None, {name: images})[0]
        except Exception as e:
            raise ExportError(f"export: ONNX Runtime must run a batch of {n}, it says: {e}") from e
        if got.shape != want.shape or got.dtype != want.dtype:
            raise ExportMismatchError(
                f"export: ONNX Runtime must give {want.dtype} of shape {want.shape}, "
                f"got {got.dtype} of {got.shape}"
            )
        if want.size:
            # NaN must not pass: a comparison with it is false
            d = np.abs(got.astype(np.float64) - want).max()
            difference = float(d) if np.isnan(d) else max(difference, float(d))
            scale = max(scale, float(np.abs(want).max()))
        if not np.isfinite(difference):
            raise ExportMismatchError(
                f"export: ONNX Runtime must give finite outputs for a batch of {n}, got NaN or infinity"
            )
    relative = difference / scale if scale else difference
    if relative > LIMIT:
        raise ExportMismatchError(
            f"export: outputs of ONNX Runtime must differ by at most {LIMIT:g} of the largest output, "
            f"got {relative:.2e} ({difference:.2e} of {scale:.3g}); nothing was written"
        )
    return Agreement(difference, relative, sum(batches), tuple(batches))
