"""Make tests/data/onnx: narrow networks of each family as PyTorch exports them, and what PyTorch says.

Run by hand: PYTHONPATH=python:tests python tests/interop/make_onnx_fixtures.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from onnx import ModelProto

from interop import torch_nets as nets

OUT = Path(__file__).resolve().parents[1] / "data" / "onnx"
# file: (family, exporter dynamo, batch norms kept)
FILES = {
    "resnet": ("resnet", False, True),
    "vgg": ("vgg", False, False),
    "mobilenet_v2": ("mobilenet_v2", True, False),
    "densenet": ("densenet", True, False),
    "squeezenet": ("squeezenet", False, False),
}


def slim(file: bytes) -> bytes:
    """Without traces of the machine that exported it; the module of each node stays."""
    model = ModelProto()
    model.ParseFromString(file)
    del model.graph.value_info[:], model.graph.metadata_props[:], model.metadata_props[:]
    for n in model.graph.node:
        scopes = [p.value for p in n.metadata_props if p.key == "pkg.torch.onnx.name_scopes"]
        del n.metadata_props[:]
        n.ClearField("doc_string")
        for s in scopes:
            n.metadata_props.add(key="pkg.torch.onnx.name_scopes", value=s)
    for v in (*model.graph.input, *model.graph.output, *model.graph.initializer):
        v.ClearField("metadata_props")
        v.ClearField("doc_string")
    return model.SerializeToString()


def images(side: int) -> np.ndarray:
    """What PyTorch was asked; the tests draw the same."""
    return np.random.default_rng(4).standard_normal((2, 3, side, side)).astype(np.float32)


def main() -> None:
    OUT.mkdir(exist_ok=True)
    said = {}
    for name, (family, dynamo, kept) in FILES.items():
        narrow = nets.ResNet(4) if family == "resnet" else nets.FAMILIES[family]()
        net = nets.trained_a_little(narrow)
        side = 16 if family == "vgg" else 17
        x = torch.from_numpy(images(side))
        file = slim(nets.export(net.train(kept), x, dynamo=dynamo, training=kept))
        (OUT / f"{name}.onnx").write_bytes(file)
        with torch.no_grad():
            said[name] = net.eval()(x).numpy()
    np.savez(OUT / "said.npz", **said)


if __name__ == "__main__":
    main()
