"""Convolution and linear layers of the networks: three passes, three precisions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from cases import Case, Peer, Pool, Step
from timing import torch

from sentei import _core, ops

#          name             N    H   C    K    R  stride padding
Layer = tuple[str, int, int, int, int, int, int, int]
CONV: dict[str, list[Layer]] = {
    "vgg13_like": [
        ("3->64@32", 100, 32, 3, 64, 3, 1, 1),
        ("64->64@32", 100, 32, 64, 64, 3, 1, 1),
        ("64->128@16", 100, 16, 64, 128, 3, 1, 1),
        ("128->128@16", 100, 16, 128, 128, 3, 1, 1),
        ("128->256@8", 100, 8, 128, 256, 3, 1, 1),
        ("256->256@8", 100, 8, 256, 256, 3, 1, 1),
    ],
    "lenet5_prune": [
        ("5x5 1->32@28", 100, 28, 1, 32, 5, 1, 2),
        ("5x5 32->64@14", 100, 14, 32, 64, 5, 1, 2),
    ],
    "vgg16": [
        ("256->256@56", 32, 56, 256, 256, 3, 1, 1),
        ("512->512@28", 32, 28, 512, 512, 3, 1, 1),
        ("128->128@112", 32, 112, 128, 128, 3, 1, 1),
        ("512->512@14", 32, 14, 512, 512, 3, 1, 1),
        ("64->64@224", 32, 224, 64, 64, 3, 1, 1),
        ("3->64@224", 32, 224, 3, 64, 3, 1, 1),
        ("64->128@112", 32, 112, 64, 128, 3, 1, 1),
        ("128->256@56", 32, 56, 128, 256, 3, 1, 1),
        ("256->512@28", 32, 28, 256, 512, 3, 1, 1),
    ],
    "resnet18_like": [
        ("16->16@32", 100, 32, 16, 16, 3, 1, 1),
        ("32->32@16", 100, 16, 32, 32, 3, 1, 1),
        ("64->64@8", 100, 8, 64, 64, 3, 1, 1),
        ("3->16@32", 100, 32, 3, 16, 3, 1, 1),
        ("16->32@32 s2", 100, 32, 16, 32, 3, 2, 1),
        ("32->64@16 s2", 100, 16, 32, 64, 3, 2, 1),
        ("1x1 16->16@32", 100, 32, 16, 16, 1, 1, 0),
        ("1x1 32->32@16", 100, 16, 32, 32, 1, 1, 0),
        ("1x1 64->64@8", 100, 8, 64, 64, 1, 1, 0),
        ("1x1 16->32@32 s2", 100, 32, 16, 32, 1, 2, 0),
        ("1x1 32->64@16 s2", 100, 16, 32, 64, 1, 2, 0),
    ],
    "pruned": [("37->51@16", 100, 16, 37, 51, 3, 1, 1)],
}
TINY_CONV: dict[str, list[Layer]] = {"tiny": [("5->7@6", 2, 6, 5, 7, 3, 1, 1)]}
#                name              N    I      O
LINEAR: dict[str, list[tuple[str, int, int, int]]] = {
    "vgg13_like": [("4096->1024", 100, 4096, 1024)],
    "lenet5_prune": [("3136->1024", 100, 3136, 1024), ("1024->10", 100, 1024, 10)],
    "vgg16": [("25088->4096", 32, 25088, 4096), ("4096->4096", 32, 4096, 4096)],
}
TINY_LINEAR = {"tiny": [("9->5", 3, 9, 5)]}
PASSES = ("forward", "backward_input", "backward_weight")


def rivals(precision: str, peer: Peer) -> dict[str, dict[str, Any]]:
    """PyTorch at the same precision: as it is out of the box, and as an expert would set it up.

    In bfloat16 on bfloat16 tensors, and on float32 tensors as sentei's (what autocast does).
    """
    storage = "bfloat16" if precision == "bfloat16" else "float32"
    base = {"precision": precision, "storage": storage}
    best = {**base, "layout": "NHWC", "benchmark": True}
    found = {"torch_nchw": {**base, "layout": "NCHW"}, "torch_channels_last": best}
    if precision == "bfloat16":
        found["torch_cast"] = {**best, "storage": "float32", "peer": cast(peer)}
    return found


def cast(peer: Peer) -> Peer:
    """Operands to bfloat16, the result back."""
    return lambda t: lambda: peer([x.bfloat16() for x in t])().float()


def conv_peer(pass_: str, stride: int, padding: int) -> Peer:
    """Tensors (x, w), (dy, w, x) or (x, dy, w), as sentei's ops take them."""

    def forward(t: list[Any]) -> Any:
        return lambda: torch.nn.functional.conv2d(t[0], t[1], stride=stride, padding=padding)

    def backward(t: list[Any]) -> Any:
        if pass_ == "backward_input":
            (dy, w, x), which = t, 0
        else:
            (x, dy, w), which = t, 1
        mask = [which == 0, which == 1, False]
        s, p = [stride, stride], [padding, padding]
        back = torch.ops.aten.convolution_backward
        return lambda: back(dy, x, w, None, s, p, [1, 1], False, [0, 0], 1, mask)[which]

    return forward if pass_ == "forward" else backward


CONV_OPS = {
    "forward": ops.CONV2D,
    "backward_input": ops.CONV2D_BACKWARD_INPUT,
    "backward_weight": ops.CONV2D_BACKWARD_WEIGHT,
}
LINEAR_OPS = {
    "forward": ops.LINEAR,
    "backward_input": ops.LINEAR_BACKWARD_INPUT,
    "backward_weight": ops.LINEAR_BACKWARD_WEIGHT,
}


def conv_case(pool: Pool, network: str, layer: Layer, pass_: str, precision: str) -> Case:
    name, n, h, c, k, r, s, p = layer
    window = ((s, s), (p, p), (1, 1))
    x_shape, w_shape = (n, h, h, c), (k, r, r, c)
    y_shape = _core.conv2d_geometry(x_shape, w_shape, *window)
    x, w, dy = pool.normal(*x_shape), pool.normal(*w_shape), pool.normal(*y_shape)
    inputs = {
        "forward": (x, w, None),
        "backward_input": (dy, w, x),
        "backward_weight": (x, dy, w),
    }[pass_]
    attrs = dict(zip(("stride", "padding", "dilation"), window, strict=True))
    step = Step(CONV_OPS[pass_], inputs, {**attrs, "precision": precision})
    peer = conv_peer(pass_, s, p)
    others = rivals(precision, peer)
    return Case(f"conv2d_{pass_}", name, [step], peer, others, precision, network, matrix=True)


def linear_peer(pass_: str) -> Peer:
    def make(t: list[Any]) -> Any:
        a, b = t
        return {
            "forward": lambda: torch.mm(a, b.t()),
            "backward_input": lambda: torch.mm(a, b),
            "backward_weight": lambda: torch.mm(b.t(), a),
        }[pass_]

    return make


def linear_case(
    pool: Pool, network: str, layer: tuple[str, int, int, int], pass_: str, precision: str
) -> Case:
    name, n, i, o = layer
    x, w, dy = pool.normal(n, i), pool.normal(o, i), pool.normal(n, o)
    inputs: Sequence[Any] = {
        "forward": (x, w, None),
        "backward_input": (dy, w),
        "backward_weight": (x, dy),
    }[pass_]
    step = Step(LINEAR_OPS[pass_], inputs, {"precision": precision})
    peer = linear_peer(pass_)
    found = rivals(precision, peer)
    others = {"torch": found.pop("torch_channels_last"), **found}
    others.pop("torch_nchw")  # there is no layout to choose
    return Case(f"linear_{pass_}", name, [step], peer, others, precision, network, matrix=True)


def cases(pool: Pool, tiny: bool, precisions: Sequence[str]) -> Iterator[Case]:
    for precision in precisions:
        for network, layers in (TINY_CONV if tiny else CONV).items():
            for layer in layers:
                for pass_ in PASSES:
                    if pass_ != "backward_input" or layer[3] > 3:  # no gradient of the images
                        yield conv_case(pool, network, layer, pass_, precision)
        for network, linear in (TINY_LINEAR if tiny else LINEAR).items():
            for shape in linear:
                for pass_ in PASSES:
                    yield linear_case(pool, network, shape, pass_, precision)
