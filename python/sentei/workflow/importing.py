"""What `sentei import` does: read an ONNX file, say what came of it, prove it, keep it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sentei.data import Standardize
from sentei.errors import DataError
from sentei.io import save
from sentei.io.onnx_in import Difference, compare_with_onnx, import_onnx
from sentei.io.onnx_in.verify import has_runtime
from sentei.model import Model
from sentei.prune import Preview, preview

__all__ = ["SCALINGS", "Imported", "import_file", "parse_scaling"]

# mean and std of images in [0, 1], per channel. imagenet: what torchvision's trained networks expect.
SCALINGS = {
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "unit": ((0.0,), (1.0,)),
    "signed": ((0.5,), (0.5,)),
}


@dataclass(frozen=True)
class Imported:
    """A network read from a file. difference: to ONNX Runtime, None where it was not asked.

    out: the file that holds it now, None: none was written.
    """

    source: str
    model: Model
    look: Preview
    difference: Difference | None
    unproved: str | None
    out: Path | None

    @property
    def about(self) -> Mapping[str, Any]:
        return dict(self.model.meta["onnx"])

    @property
    def ok(self) -> bool:
        return self.difference is None or self.difference.passed

    def to_json(self) -> dict[str, Any]:
        """The result as JSON data."""
        cost = self.model.costs()
        d = self.difference
        return {
            "source": self.source,
            "out": None if self.out is None else str(self.out),
            "opset": self.about["opset"],
            "producer": self.about["producer"],
            "operators": self.about["operators"],
            "notes": self.about["notes"],
            "input_shape": list(self.model.input_shape),
            "params": cost.params,
            "macs": cost.macs,
            "smallest": {"params": self.look.smallest.params, "macs": self.look.smallest.macs},
            "layers": [
                {
                    "name": x.name,
                    "op": x.op,
                    "channels": x.width,
                    "prunable": x.prunable,
                    "reason": x.reason,
                    "tied_with": list(x.tied_with),
                }
                for x in self.look.layers
            ],
            "difference": None
            if d is None
            else {"absolute": d.absolute, "relative": d.relative, "samples": d.samples},
            "unproved": self.unproved,
            "ok": self.ok,
        }


def parse_scaling(text: str, channels: int) -> Standardize:
    """The scaling that a text names: imagenet, unit, signed, or "MEAN,.../STD,..." per channel."""
    if text in SCALINGS:
        mean, std = SCALINGS[text]
        if len(mean) == 1:
            mean, std = mean * channels, std * channels
    else:
        parts = text.split("/")
        try:
            if len(parts) != 2:
                raise ValueError
            mean, std = (tuple(float(v) for v in p.split(",")) for p in parts)
        except ValueError:
            raise DataError(
                f"import: scaling must be {', '.join(SCALINGS)} or means and deviations like "
                f'"0.5,0.5,0.5/0.2,0.2,0.2", got {text!r}'
            ) from None
    if len(mean) != channels:
        raise DataError(
            f"import: scaling must be for the {channels} channels of the input, got {len(mean)}"
        )
    return Standardize(mean, std)


def import_file(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str] | None = None,
    *,
    size: int | tuple[int, int] | None = None,
    output: str | None = None,
    scaling: str | None = None,
    check: bool = True,
    write: bool = True,
    force: bool = False,
) -> Imported:
    """Read an ONNX file, compare it with ONNX Runtime and save the model.

    Args:
        source: the file. out: the model's file; None: the source's name with .safetensors, beside it.
        size, output: as sentei.io.import_onnx. scaling: as parse_scaling. check: compare with ONNX
        Runtime where it is installed; a network that differs is not written. write: False: nothing is.
        force: replace a file that is there.
    Raises:
        DataError: the file is not read, or `out` is there already.
    """
    target = Path(out) if out is not None else Path(source).with_suffix(".safetensors")
    if write and not force and target.exists():
        raise DataError(
            f"import: out must be a new file, but {target} is there; --force replaces it"
        )
    model = import_onnx(source, size=size, output=output)
    if scaling is not None:
        if len(model.input_shape) != 3:
            raise DataError("import: scaling must be left out for a network that takes no images")
        found = parse_scaling(scaling, model.input_shape[2])
        model.meta["data"] = {"standardize": found.to_json()}
    difference, unproved = None, None
    if not check:
        unproved = "not compared with ONNX Runtime, as asked"
    elif not has_runtime():
        unproved = (
            'not compared with ONNX Runtime, which is not installed: pip install "sentei[onnx]"'
        )
    elif output is not None:
        unproved = "not compared with ONNX Runtime, which knows only the file's own outputs"
    else:
        difference = compare_with_onnx(source, model)
    kept = write and (difference is None or difference.passed)
    if kept:
        save(model, target)
    return Imported(
        os.fspath(source), model, preview(model), difference, unproved, target if kept else None
    )
