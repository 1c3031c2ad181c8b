"""Write a model as ONNX and run the file by ONNX Runtime, apart from the exporter's own check."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from sentei.io import ExportReport, export_onnx
from sentei.model import Model

TOLERANCE = 1e-5  # of the largest output; ten times below the limit of the exporter


def runtime(path: Path, images: np.ndarray) -> np.ndarray:
    """Outputs of a file for images as it takes them."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(["output"], {"input": images})[0])


def channels_first(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2)) if x.ndim == 4 else x


def written(model: Model, folder: Path, images: np.ndarray, **options: Any) -> ExportReport:
    """Export without the exporter's own run, then compare with the model's plain, unfolded outputs."""
    path = folder / "model.onnx"
    report = export_onnx(model, path, check=False, **options)
    assert report.agreement is None and report.path == path
    want = channels_first(model.predictor(len(images), fused=False)(images))
    given = images if options.get("layout") == "nhwc" else channels_first(images)
    got = runtime(path, given)
    if options.get("layout") == "nhwc":
        got = channels_first(got)
    assert got.dtype == np.float32 and got.shape == want.shape
    scale = float(np.abs(want).max()) or 1.0
    assert np.abs(got - want).max() <= TOLERANCE * scale, np.abs(got - want).max() / scale
    return report
