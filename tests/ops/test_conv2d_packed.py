"""Filters packed once: the bits of conv2d for every method, refusals, and what a predictor holds."""

from __future__ import annotations

import numpy as np
import pytest

from helpers import array
from sentei import _core, errors
from sentei._core import Tensor
from sentei.nn import models
from sentei.ops import conv2d_forward
from sentei.passes import pack_filters
from sentei.run import Runner

# name: method on the widest instruction set, x, w, stride, padding, dilation, precision
CASES = {
    "winograd 2": ("winograd", (2, 12, 11, 32), (40, 3, 3, 32), 1, 1, 1, "float32"),
    "winograd 4": ("winograd", (2, 16, 16, 40), (70, 3, 3, 40), 1, 1, 1, "fast"),
    "nested": ("nested", (5, 24, 21, 20), (50, 5, 5, 20), 1, 2, 1, "float32"),
    "rows": ("rows", (2, 9, 12, 6), (16, 3, 3, 6), 1, 1, 1, "float32"),
    "direct": ("direct", (3, 9, 8, 5), (70, 4, 2, 5), 2, 1, 1, "float32"),
    "direct, 1x1": ("direct", (1, 7, 7, 130), (33, 1, 1, 130), 1, 0, 1, "float32"),
    "direct, dilated": ("direct", (2, 9, 9, 33), (65, 3, 3, 33), 1, 2, 2, "precise"),
    "groups": ("direct", (2, 8, 8, 12), (20, 3, 3, 3), 1, 1, 1, "float32"),
    "depthwise": ("direct", (2, 8, 8, 37), (37, 3, 3, 1), 1, 1, 1, "float32"),
    "bfloat16": ("bfloat16", (4, 9, 9, 40), (70, 3, 3, 40), 1, 1, 1, "bfloat16"),
    "bfloat16, one chunk": ("bfloat16", (1, 4, 4, 70), (100, 3, 3, 70), 1, 1, 1, "bfloat16"),
    "bfloat16, merged": ("bfloat16", (2, 28, 28, 1), (20, 5, 5, 1), 1, 2, 1, "bfloat16"),
    "bfloat16, strided": ("bfloat16", (3, 9, 9, 35), (33, 1, 1, 35), 2, 0, 1, "bfloat16"),
}


def modes(stride: int, padding: int, dilation: int, precision: str):
    return (stride, stride), (padding, padding), (dilation, dilation), precision


def operands(x, w):
    rng = np.random.default_rng(0)
    each = [rng.standard_normal(s, dtype=np.float32) for s in (x, w, w[:1])]
    return [Tensor.from_numpy(a) for a in each]


def pack(w: Tensor, x, mode) -> Tensor:
    size = _core.conv2d_packing(x, w.shape, *mode)[1]
    packed = Tensor.from_numpy(np.full(size, 0xFF, np.uint8))  # NaN wherever nothing is written
    _core.conv2d_pack(w, packed, x, *mode)
    return packed


def packed_forward(x: Tensor, packed: Tensor, w, b: Tensor | None, relu: bool, mode) -> np.ndarray:
    *window, precision = mode
    y = Tensor.zeros(_core.conv2d_geometry(x.shape, w, *window))
    room = _core.conv2d_packing(x.shape, w, *mode)[2]
    ws = Tensor.from_numpy(np.full(max(room, 64), 0xFF, np.uint8))
    _core.conv2d_packed_forward(x, packed, w, b, y, ws, *window, relu, precision)
    return array(y)


@pytest.mark.parametrize("name", CASES)
def test_same_bits(name: str) -> None:
    method, xs, ws, stride, padding, dilation, precision = CASES[name]
    x, w, b = operands(xs, ws)
    mode = modes(stride, padding, dilation, precision)
    got, size, room = _core.conv2d_packing(xs, ws, *mode)
    if _core.isa_info()["active"] == "v4":
        assert got == method
    if size == 0:
        assert precision == "bfloat16" and _core.bfloat16_info()["active"] == "portable"
        pytest.skip("bfloat16 without tiles packs nothing ahead")
    whole = _core.conv2d_workspace("forward", xs, ws, *mode)
    assert room < whole
    packed = pack(w, xs, mode)
    options = {"stride": stride, "padding": padding, "dilation": dilation, "precision": precision}
    for bias, relu in ((None, False), (b, True)):
        want = array(conv2d_forward(x, w, bias, relu=relu, **options))
        np.testing.assert_array_equal(packed_forward(x, packed, ws, bias, relu, mode), want)


@pytest.mark.parametrize("name", [n for n in CASES if n != "nested"])
def test_one_order_for_every_batch(name: str) -> None:
    """What a predictor relies on when it shares packed filters between batch sizes."""
    _, xs, ws, stride, padding, dilation, precision = CASES[name]
    mode = modes(stride, padding, dilation, precision)
    _, w, _ = operands(xs, ws)
    size = _core.conv2d_packing(xs, ws, *mode)[1]
    if size == 0:
        pytest.skip("bfloat16 without tiles packs nothing ahead")
    want = array(pack(w, xs, mode))
    for n in (1, 2, 9, 64):
        np.testing.assert_array_equal(array(pack(w, (n, *xs[1:]), mode)), want)


def test_threads(threads) -> None:
    _, xs, ws, stride, padding, dilation, precision = CASES["winograd 2"]
    mode = modes(stride, padding, dilation, precision)
    x, w, b = operands(xs, ws)
    found = []
    for n in (1, 3):
        _core.set_threads(n)
        found.append(packed_forward(x, pack(w, xs, mode), ws, b, False, mode))
    np.testing.assert_array_equal(*found)


def test_refuses() -> None:
    mode = modes(1, 1, 1, "float32")
    x, w, b = operands((1, 8, 8, 16), (24, 3, 3, 16))
    packed = pack(w, x.shape, mode)
    y, ws = Tensor.zeros((1, 8, 8, 24)), Tensor.zeros((1 << 20,), "uint8")
    short = Tensor.zeros((packed.nbytes - 64,), "uint8")

    def call(filter_=packed, out=y, room=ws, x=x):
        _core.conv2d_packed_forward(x, filter_, w.shape, b, out, room, *mode[:3], False, "float32")

    call()
    with pytest.raises(errors.ShapeError, match=r"packed must have the \d+ bytes of this conv"):
        call(short)
    with pytest.raises(errors.ShapeError, match=r"packed must have the \d+ bytes of this conv"):
        _core.conv2d_pack(w, short, x.shape, *mode)
    with pytest.raises(errors.DTypeError, match="packed must be uint8"):
        call(Tensor.zeros((packed.nbytes // 4,)))
    with pytest.raises(errors.ShapeError, match="y must have shape"):
        call(out=Tensor.zeros((1, 8, 8, 23)))
    with pytest.raises(errors.ShapeError, match="workspace must have at least"):
        call(room=Tensor.zeros((8,), "uint8"))
    with pytest.raises(errors.ShapeError, match="w must have shape"):
        call(x=Tensor.zeros((1, 8, 8, 17)))


# -- the predictor --------------------------------------------------------------------------------
NETWORKS = {"lenet5_prune": (28, 28, 1), "resnet18_like": (32, 32, 3)}


def built(name: str):
    return models.build(name, NETWORKS[name], classes=10, seed=0)


def images(name: str, n: int) -> np.ndarray:
    return np.random.default_rng(1).standard_normal((n, *NETWORKS[name]), dtype=np.float32)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_predictor_says_what_it_said(name: str, precision: str) -> None:
    model = built(name)
    p = model.predictor(3, precision=precision)
    for n in (3, 1):
        x = images(name, n)
        plain = Runner(p.graph, p._tensors, n)
        plain.run(x=x)
        np.testing.assert_array_equal(p(x), plain.fetch(p.output))


def test_weights_that_change_later() -> None:
    model = built("lenet5_prune")
    x = images("lenet5_prune", 4)
    p = model.predictor(4)
    before = p(x)
    for t in model.tensors.values():
        if t.dtype == "float32":
            t.copy_from(0.5 * t.numpy())
    np.testing.assert_array_equal(p(x), before)
    np.testing.assert_array_equal(p(x[:1]), before[:1])  # packed only now, from what it holds
    after = model.predictor(4)(x)
    assert np.abs(after - before).max() > 1e-3
    np.testing.assert_array_equal(model.predict(x), model.predictor(4)(x))


def test_memory() -> None:
    """Packed once for all batch sizes that share an order, and out of the arena."""
    p = built("resnet18_like").predictor(4)
    held = p.packed_bytes
    assert held > 0
    plain = Runner(p.graph, p._tensors, 1).plan.memory.arena_bytes
    assert p.runner(1).plan.memory.arena_bytes < plain
    assert p.packed_bytes == held
    assert not any(n.op.name == "conv2d" for n in p.runner(1).plan.graph.nodes)
    assert any(n.op.name == "conv2d" for n in p.graph.nodes)


def test_only_parameters_are_packed() -> None:
    """Without filters to pack the graph comes back as it is."""
    p = built("lenet5_prune").predictor(1)
    kept = {}
    graph, tensors = pack_filters(p.graph, p._tensors, 1, kept)
    again, same = pack_filters(graph, tensors, 1, kept)
    assert again is graph and same == tensors
    assert len(kept) == sum(n.op.name == "conv2d" for n in p.graph.nodes)
