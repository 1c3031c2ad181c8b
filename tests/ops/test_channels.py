"""concat, channel_split, flatten, reshape_like, channel_scale: exact, close, gradient, refuses, ties."""

from __future__ import annotations

import numpy as np
import pytest

from helpers import (
    RAGGED,
    array,
    assert_close,
    assert_exact,
    central_difference,
    integers,
    normal,
    shifted,
)
from reference import channels as ref
from sentei import _core
from sentei.device import default_device
from sentei.errors import DeviceError, DTypeError, ShapeError
from sentei.graph import Node, Spec
from sentei.ops import (
    CHANNEL_SCALE,
    CHANNEL_SPLIT,
    CONCAT,
    FLATTEN,
    RESHAPE_LIKE,
    channel_scale_backward,
    channel_scale_forward,
    channel_split_forward,
    concat_forward,
    flatten_forward,
)
from sentei.tensor import Tensor

LEADING = [(2, 3, 5), (7,), (1, 1, 1), (0, 2, 2), (), (20, 31, 30)]


@pytest.mark.devices
@pytest.mark.parametrize("leading", LEADING)
@pytest.mark.parametrize("widths", [(1,), (3, 13), (37, 1, 16), (64, 64), (5, 0, 2)])
def test_concat_and_split_move_every_element(rng, leading, widths):
    xs = [normal(rng, (*leading, c)) for c in widths]
    y = concat_forward(*xs)
    assert_exact(y, ref.concat(xs))
    head, rest = channel_split_forward(y, widths[0])
    assert_exact(head, xs[0].astype(np.float64))
    assert_exact(rest, array(y)[..., widths[0] :].astype(np.float64))


@pytest.mark.devices
@pytest.mark.parametrize("widths", [(9000, 5), (8192, 4096), (4,) * 33, (3, 0, 1) * 25])
def test_concat_of_wide_rows_and_of_many_parts(rng, widths):
    xs = [normal(rng, (3, c)) for c in widths]
    y = concat_forward(*xs)
    assert_exact(y, ref.concat(xs))
    head, rest = channel_split_forward(y, widths[0])
    assert_exact(head, xs[0].astype(np.float64))
    assert_exact(rest, array(y)[:, widths[0] :].astype(np.float64))


@pytest.mark.devices
def test_concat_and_split_at_any_address(rng, device):
    xs = [normal(rng, (5, 3, c)) for c in (8, 16)]
    y = concat_forward(xs[0], shifted(xs[1], device))
    assert_exact(y, ref.concat(xs))
    for got, want in zip(channel_split_forward(shifted(array(y), device), 8), xs, strict=True):
        assert_exact(got, want.astype(np.float64))


class Run:
    """Gradient context that runs what an op emits at once; values are arrays by name."""

    def __init__(self, values):
        self.values = values

    def emit(self, op, inputs, **attrs):
        given = [self.values[v] for v in inputs]
        specs = [Spec(t.shape, t.dtype) for t in given]
        seen = [None if op.argument(i) in op.shape_only else t for i, t in enumerate(given)]
        outs = op.infer(specs, attrs)
        if op.alias:
            results = [given[0].view(outs[0].shape)]
        else:
            device = default_device()
            results = [Tensor.empty(s.shape, s.dtype, device=device) for s in outs]
            n = op.workspace(specs, outs, attrs, device) if op.workspace else 0
            op.run(seen, results, attrs, Tensor.empty((n,), "uint8", device=device))
        names = tuple(f"value{len(self.values)}.{i}" for i in range(len(outs)))
        self.values.update(zip(names, results, strict=True))
        return names[0] if len(names) == 1 else names

    def needs(self, value):
        return value is not None


def run_gradient(op, inputs, dy):
    """Gradients of sum(dy * op(inputs)) by the op's own backward."""
    names = [f"p{i}" for i in range(len(inputs))]
    arrays = [*inputs, dy]
    tensors = [Tensor.from_numpy(a).to(default_device()) for a in arrays]
    ctx = Run(dict(zip([*names, "dy"], tensors, strict=True)))
    node = Node("node", op, tuple(names), ("y",))
    return [array(ctx.values[g]) for g in op.backward(ctx, node, ["dy"])]


@pytest.mark.devices
@pytest.mark.parametrize("widths", [(4,), (3, 13), (37, 1, 16)])
def test_concat_gradient_cuts_dy(rng, widths):
    xs = [normal(rng, (2, 3, 1, c)) for c in widths]
    dy = normal(rng, (2, 3, 1, sum(widths)))
    cuts = np.cumsum(widths)[:-1]
    for got, want in zip(run_gradient(CONCAT, xs, dy), np.split(dy, cuts, axis=-1), strict=True):
        assert_exact(got, want.astype(np.float64))


@pytest.mark.devices
def test_flatten_is_a_view_and_its_gradient_a_reshape(rng):
    x = normal(rng, (2, 3, 4, 5))
    y = flatten_forward(x)
    assert_exact(y, x.reshape(2, 60).astype(np.float64))
    t = Tensor.from_numpy(x)
    assert flatten_forward(t).overlaps(t)
    dy = normal(rng, (2, 60))
    assert_exact(run_gradient(FLATTEN, [x], dy)[0], dy.reshape(x.shape).astype(np.float64))
    assert flatten_forward(np.zeros((0, 2, 2, 3), np.float32)).shape == (0, 12)


@pytest.mark.devices
@pytest.mark.parametrize("c", RAGGED)
@pytest.mark.parametrize("leading", LEADING[:4])
def test_channel_scale_exact(rng, leading, c):
    x, dy, m = integers(rng, (*leading, c)), integers(rng, (*leading, c)), integers(rng, (c,))
    assert_exact(channel_scale_forward(x, m), x.astype(np.float64) * m)
    dx, dm = channel_scale_backward(dy, x, m)
    want = ref.channel_scale_gradient(dy, x, m)
    assert_exact(dx, want[0])
    assert_exact(dm, want[1])


@pytest.mark.devices
@pytest.mark.parametrize("shape", [(3, 17, 13, 37), (200, 109), (64, 14, 14, 16), (1, 1, 1, 1)])
def test_channel_scale_close(rng, shape):
    x, dy, m = normal(rng, shape), normal(rng, shape), normal(rng, shape[-1:])
    assert_close(channel_scale_forward(x, m), x.astype(np.float64) * m)
    dx, dm = channel_scale_backward(dy, x, m)
    want = ref.channel_scale_gradient(dy, x, m)
    terms = x.size // shape[-1]
    assert_close(dx, want[0])
    assert_close(dm, want[1], terms, scale=terms**0.5)


@pytest.mark.devices
@pytest.mark.parametrize(
    ("shape", "aligned"),
    [
        ((2_200_000, 1), True),
        ((9, 1500), True),
        ((23, 301), True),
        ((1, 129), True),
        ((40, 12), False),
        ((40, 37), False),
        ((11, 300), False),
        ((17_000, 257), False),
    ],
)
def test_channel_scale_of_every_plan(rng, shape, aligned, device):
    x, dy, m = integers(rng, shape, 2), integers(rng, shape, 2), integers(rng, shape[-1:])
    t, d = (x, dy) if aligned else (shifted(x, device), shifted(dy, device))
    assert_exact(channel_scale_forward(t, m), x.astype(np.float64) * m)
    want = ref.channel_scale_gradient(dy, x, m)
    for got, w in zip(channel_scale_backward(d, t, m), want, strict=True):
        assert_exact(got, w)


@pytest.mark.devices
def test_channel_scale_of_no_channels():
    x, none = np.zeros((2, 3, 0), np.float32), np.zeros(0, np.float32)
    assert channel_scale_forward(x, none).shape == x.shape
    assert [t.shape for t in channel_scale_backward(x, x, none)] == [x.shape, (0,)]


@pytest.mark.devices
def test_channel_scale_of_more_columns_than_a_grid_is_high(device):
    if device == "cpu":
        pytest.skip("there is no grid on cpu")
    x = np.ones((1, 16_777_217), np.float32)
    x[0, -1] = 3
    m = np.full(x.shape[1], 2, np.float32)
    y = array(channel_scale_forward(x, m))
    assert y[0, 0] == 2 and y[0, -1] == 6 and y.sum(dtype=np.float64) == 2 * x.size + 4


@pytest.mark.devices
def test_channel_scale_in_place(rng, device):
    x, dy, m = integers(rng, (30, 13)), integers(rng, (30, 13)), integers(rng, (13,))
    want = ref.channel_scale_gradient(dy, x, m)
    tm = Tensor.from_numpy(m).to(device)
    work = Tensor.empty((_core.channel_scale_workspace((30, 13), device),), "uint8", device=device)
    for over in ("x", "dy"):
        t = {"x": Tensor.from_numpy(x).to(device), "dy": Tensor.from_numpy(dy).to(device)}
        dm = Tensor.empty((13,), device=device)
        _core.channel_scale_backward(t["dy"], t["x"], tm, t[over], dm, work)
        assert_exact(t[over], want[0])
        assert_exact(dm, want[1])
    t = Tensor.from_numpy(x).to(device)
    _core.channel_scale_forward(t, tm, t, work)
    assert_exact(t, x.astype(np.float64) * m)


@pytest.mark.devices
def test_channel_scale_gradient(rng):
    x, dy, m = normal(rng, (2, 3, 2, 5)), normal(rng, (2, 3, 2, 5)), normal(rng, (5,))
    dx, dm = run_gradient(CHANNEL_SCALE, [x, m], dy)
    want = ref.channel_scale_gradient(dy, x, m)
    assert_close(dx, want[0])
    assert_close(dm, want[1], 12)
    for c in range(5):
        slope = central_difference(lambda a: float((x * a * dy.astype(np.float64)).sum()), m, (c,))
        assert dm[c] == pytest.approx(slope, rel=1e-4, abs=1e-4)
    i = (1, 2, 0, 3)
    slope = central_difference(lambda a: float((a * m * dy.astype(np.float64)).sum()), x, i)
    assert dx[i] == pytest.approx(slope, rel=1e-4, abs=1e-4)


@pytest.mark.usefixtures("threads")
def test_bits_do_not_depend_on_threads(rng):
    x, dy, m = normal(rng, (30, 28, 28, 37)), normal(rng, (30, 28, 28, 37)), normal(rng, (37,))
    runs = []
    for n in (1, 2, 3, 3):
        _core.set_threads(n)
        joined = concat_forward(x, dy)
        out = [channel_scale_forward(x, m), *channel_scale_backward(dy, x, m), joined]
        out += channel_split_forward(joined, 13)
        runs.append([np.asarray(t).tobytes() for t in out])
    assert all(r == runs[0] for r in runs)


def z(*shape):
    return np.zeros(shape, np.float32)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (concat_forward, "xs must hold at least one tensor"),
        (lambda: concat_forward(z(2, 3), z(3, 3)), r"xs1 must have shape \(2, 3\), got \(3, 3\)"),
        (lambda: concat_forward(z(2, 3), z(2, 1, 3)), "xs1 must have shape"),
        (lambda: channel_split_forward(z(2, 3), 4), "with at most its channels"),
        (lambda: flatten_forward(z(3)), "x must have at least two axes"),
        (lambda: RESHAPE_LIKE.infer((Spec((2, 3)), Spec((5,))), {}), "like must have 6 elements"),
        (lambda: channel_scale_forward(z(2, 3), z(2)), r"m must have shape \(3,\), got \(2,\)"),
        (lambda: channel_scale_backward(z(1, 3), z(2, 3), z(3)), r"dy must have shape \(2, 3\)"),
        (
            lambda: _core.concat_forward([Tensor.zeros((2, 3))], Tensor.zeros((2, 4))),
            r"y must have shape \(2, 3\), got \(2, 4\)",
        ),
        (
            lambda: _core.channel_split_forward(
                Tensor.zeros((2, 3)), Tensor.zeros((2, 1)), Tensor.zeros((2, 1))
            ),
            r"rest must have shape \(2, 2\), got \(2, 1\)",
        ),
        (
            lambda: _core.channel_scale_forward(
                Tensor.zeros((2, 3)),
                Tensor.zeros((3,)),
                Tensor.zeros((2, 3)),
                Tensor.zeros((4,), "uint8"),
            ),
            "workspace must have at least",
        ),
    ],
)
def test_refuses_shapes(call, message):
    with pytest.raises(ShapeError, match=message):
        call()


def test_refuses_dtypes_and_overlap():
    with pytest.raises(DTypeError, match="xs1 must be float32, got float64"):
        concat_forward(z(2, 3), np.zeros((2, 3)))
    with pytest.raises(DTypeError, match="x must be float32, got int32"):
        channel_split_forward(np.zeros((2, 3), np.int32), 1)
    with pytest.raises(DTypeError, match="m must be float32, got float64"):
        channel_scale_forward(z(2, 3), np.zeros(3))
    t = Tensor.zeros((2, 3))
    with pytest.raises(ValueError, match="y must not overlap xs0"):
        _core.concat_forward([t], t)
    with pytest.raises(ValueError, match="head must not overlap x"):
        _core.channel_split_forward(t, t.view((2, 1)), Tensor.zeros((2, 2)))


def test_ties():
    def ties(op, ins, outs):
        return op.ties(
            {k: Spec(s) for k, s in ins.items()}, {k: Spec(s) for k, s in outs.items()}, {}
        )

    first, second = ties(CONCAT, {"xs0": (2, 3), "xs1": (2, 2)}, {"y": (2, 5)})
    assert (first.a, first.b) == (("xs0", 1), ("y", 1)) and second.a == ("xs1", 1)
    assert first.ib.tolist() == [0, 1, 2] and second.ib.tolist() == [3, 4]
    (tie,) = ties(FLATTEN, {"x": (2, 2, 3, 2)}, {"y": (2, 12)})
    assert (tie.a, tie.b) == (("x", 3), ("y", 1))
    image = np.broadcast_to(np.arange(2), (2, 3, 2)).ravel()
    assert np.array_equal(image[tie.ib], tie.ia) and sorted(tie.ib) == list(range(12))
    assert {(t.a, t.b) for t in ties(CHANNEL_SCALE, {"x": (2, 3), "m": (3,)}, {"y": (2, 3)})} == {
        (("x", 1), ("y", 1)),
        (("m", 0), ("y", 1)),
    }


def test_split_reads_only_the_shape_of_like():
    assert CHANNEL_SPLIT.shape_only == ("like",) and RESHAPE_LIKE.shape_only == ("like",)


@pytest.mark.devices
def test_refuses_parts_on_other_devices(device):
    if device == "cpu":
        pytest.skip("there is no other device")
    here, there = Tensor.zeros((2, 3)), Tensor.zeros((2, 3), device=device)
    with pytest.raises(DeviceError, match="concat_forward: xs1 must be on cuda as y is, got cpu"):
        _core.concat_forward([there, here], Tensor.zeros((2, 6), device=device))
