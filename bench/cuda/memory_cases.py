"""Ops whose time is that of the bytes they move: elementwise, norm, pooling, losses, updates, scores."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from cases import Array, Case, Peer, Pool, Step
from norm_cases import LAYOUTS, Shape, norms, pools
from timing import torch

from sentei import ops
from sentei.optim.semi_sync import groups

SHAPES: list[Shape] = [(100, 32, 32, 64), (32, 224, 224, 64), (100, 16, 16, 128), (100, 28, 28, 32)]
TINY: list[Shape] = [(2, 4, 4, 8)]
LR = 0.01


def activations(pool: Pool, shape: Shape) -> Iterator[Case]:
    """Maps of one and two tensors."""
    text = "x".join(map(str, shape))
    x, dy = pool.normal(*shape), pool.normal(*shape)
    y = np.maximum(x, 0)
    two: list[tuple[Any, tuple[Array, ...], dict[str, Any], Peer]] = [
        (ops.ADD, (x, dy), {}, lambda t: lambda: t[0] + t[1]),
        (ops.RELU, (x,), {}, lambda t: lambda: torch.relu(t[0])),
        (
            ops.RELU_BACKWARD,
            (y, dy),
            {},
            lambda t: lambda: torch.ops.aten.threshold_backward(t[1], t[0], 0),
        ),
        (
            ops.LEAKY_RELU,
            (x,),
            {"alpha": 0.1},
            lambda t: lambda: torch.nn.functional.leaky_relu(t[0], 0.1),
        ),
        (ops.LOGISTIC, (x,), {}, lambda t: lambda: torch.sigmoid(t[0])),
        (ops.TANH, (x,), {}, lambda t: lambda: torch.tanh(t[0])),
    ]
    for op, inputs, attrs, peer in two:
        yield Case(op.name, text, [Step(op, inputs, attrs)], peer, LAYOUTS)
    rng = np.array([7, 3], np.int64)
    attrs = {"keep": 0.5, "stream": 1, "inverted": True}
    yield Case(
        "dropout",
        text,
        [Step(ops.DROPOUT, (x, rng), attrs)],
        lambda t: lambda: torch.nn.functional.dropout(t[0], 0.5),
        LAYOUTS,
        check=False,  # other random numbers
    )


def reductions(pool: Pool, shape: Shape) -> Iterator[Case]:
    """Gradient of a bias, and the sums behind the scores of channels."""
    text, c = "x".join(map(str, shape)), shape[-1]
    x, g = pool.normal(*shape), pool.normal(*shape)
    yield Case(
        "bias_backward",
        text,
        [Step(ops.BIAS_BACKWARD, (x,))],
        lambda t: lambda: t[0].sum((0, 2, 3)),
        LAYOUTS,
    )

    def scores(t: list[Any]) -> Any:
        x, g, stats = t[0], t[1], t[2]

        def call() -> Any:
            a = (x * x).sum((2, 3)).double()
            d = (x * g).sum((2, 3)).double()
            rows = torch.stack((a, d, d**2, a**2, d**3, d**4))
            stats.add_(rows.sum(1))
            return stats

        return call

    stats = np.zeros((6, c), np.float64)
    step = Step(ops.SCORE_ACCUMULATE, (x, g, stats, None, None))
    yield Case("score_accumulate", text, [step], scores, LAYOUTS, result=2)


def batches(pool: Pool, tiny: bool) -> Iterator[Case]:
    """A mini-batch out of a data set on the device: picked, moved by up to 4, mirrored, scaled."""
    count, b, h, c = (5, 3, 6, 3) if tiny else (50000, 512, 32, 3)
    rng = pool.rng
    images = rng.integers(0, 256, (count, h, h, c), np.uint8)
    plan = np.empty((b, 4), np.int32)
    plan[:, 0] = rng.permutation(count)[:b]
    plan[:, 1:3] = rng.integers(-4, 5, (b, 2))
    plan[:, 3] = rng.integers(0, 2, b)
    scale, shift = pool.normal(c), pool.normal(c)

    def peer(t: list[Any]) -> Any:
        images, plan, scale, shift = t
        wide = torch.nn.functional.pad(images, (4, 4, 4, 4))
        plan = plan.long()
        pixel = torch.arange(h, device=plan.device)

        def call() -> Any:
            rows = pixel + plan[:, 1:2] + 4
            columns = torch.where(plan[:, 3:4] == 1, h - 1 - pixel, pixel) + plan[:, 2:3] + 4
            x = wide.permute(0, 2, 3, 1)[plan[:, :1, None], rows[:, :, None], columns[:, None, :]]
            return (x.float() * scale + shift).permute(0, 3, 1, 2)

        return call

    step = Step(ops.GATHER_BATCH, (images, plan, scale, shift))
    moved = b * h * h * c * 5
    rival = {"torch": LAYOUTS["torch_channels_last"]}
    yield Case("gather_batch", f"{b} of {count}", [step], peer, rival, moved=moved)


def losses(pool: Pool, tiny: bool) -> Iterator[Case]:
    """Cross entropy with its gradient and the count of right answers."""
    for n, classes in [(3, 5)] if tiny else [(100, 10), (32, 1000), (8192, 1000)]:
        logits = pool.normal(n, classes)
        labels = pool.rng.integers(0, classes, n)
        attrs = {"reduction": "mean"}
        steps = [
            Step(ops.SOFTMAX_CROSS_ENTROPY, (logits, labels), attrs),
            Step(ops.LOSS_BACKWARD, (("step", 0, 2), np.ones(1, np.float32)), attrs),
        ]

        def peer(t: list[Any]) -> Any:
            aten, (x, y, one) = torch.ops.aten, t

            def call() -> Any:
                lp = aten._log_softmax(x, 1, False)
                _, weight = aten.nll_loss_forward(lp, y, None, 1, -100)
                g = aten.nll_loss_backward(one[0], lp, y, None, 1, -100, weight)
                (x.argmax(1) == y).sum()
                return aten._log_softmax_backward_data(g, lp, 1, x.dtype)

            return call

        yield Case("cross_entropy", f"{n}x{classes}", steps, peer, {"torch": LAYOUTS["torch_nchw"]})


def optimiser(w: list[Any], g: list[Any], v: list[Any], **how: bool) -> Any:
    """torch.optim.SGD with momentum on given tensors; its state is -v / lr."""
    params = [torch.nn.Parameter(a) for a in w]
    for p, a in zip(params, g, strict=True):
        p.grad = a
    opt = torch.optim.SGD(params, LR, momentum=0.9, **how)
    for p, a in zip(params, v, strict=True):
        opt.state[p]["momentum_buffer"] = -a / LR
    return opt


HOW = {
    "torch_foreach": {**LAYOUTS["torch_nchw"], "layout": "flat"},
    "torch_fused": {**LAYOUTS["torch_nchw"], "layout": "flat"},
}


def updates(pool: Pool, tiny: bool) -> Iterator[Case]:
    """SGD with momentum: one tensor, and the many of a network."""
    lr = np.array([LR], np.float32)

    def peer(**how: bool) -> Peer:
        def make(t: list[Any]) -> Any:
            flat = [a for a in t if a.shape != (1,)]
            w, g, v = flat[0::3], flat[1::3], flat[2::3]
            opt = optimiser(w, g, v, **how)

            def call() -> Any:
                opt.step()
                return w[-1]

            return call

        return make

    rivals = {
        "torch_foreach": {**HOW["torch_foreach"], "peer": peer(foreach=True)},
        "torch_fused": {**HOW["torch_fused"], "peer": peer(fused=True)},
    }
    many = [(64, 27), *[(64, 576)] * 4, *[(128, 1152)] * 4, *[(256, 2304)] * 4, *[(256,)] * 24]
    sizes = {"1M": [(1 << 20,)], "4096x4096": [(4096, 4096)], "37 tensors": many}
    if tiny:
        sizes = {"3 tensors": [(5, 3), (4,), (7,)]}
    for name, shapes in sizes.items():
        tensors = []
        for shape in shapes:
            w, g = pool.normal(*shape), pool.normal(*shape)
            tensors += [w, g, pool.normal(*shape) * np.float32(LR)]
        if len(shapes) == 1:
            op, which = ops.SGD_UPDATE, 0
            step = Step(op, (*tensors, lr), {"momentum": 0.9})
        else:
            op, which = ops.SGD_UPDATE_MANY, len(tensors) - 2  # the last w, behind lr
            attrs = {"with_v": True, "momentum": (0.9,) * len(shapes)}
            step = Step(op, (lr, *tensors), attrs)
        moved = 20 * sum(t.size for t in tensors[::3])
        run = peer(foreach=True)
        yield Case(op.name, name, [step], run, rivals, moved=moved, result=which)


def semi_sync(pool: Pool, tiny: bool) -> Iterator[Case]:
    """The update of a fully-connected layer, one group of rows: with and without its weight gradient.

    The peer multiplies the dense gradient by the mask of the group, then updates all.
    """
    m, b = (9, 3) if tiny else (4096, 100)
    lr = np.array([LR], np.float32)
    rows, offsets = np.arange(m, dtype=np.int32), groups(m)
    group = np.array([1], np.int32)
    first, last = int(offsets[1]), int(offsets[2])
    w, v = pool.normal(m, m), pool.normal(m, m) * np.float32(LR)
    x, dy = pool.normal(b, m), pool.normal(b, m)
    dw = pool.normal(int(np.diff(offsets).max()), m)
    attrs = {"momentum": 0.9, "compact": True}

    def mask_of(like: Any) -> Any:
        mask = torch.zeros(m, 1, device=like.device)
        mask[first:last] = 1
        return mask

    def update(**how: bool) -> Peer:
        def make(t: list[Any]) -> Any:
            w, dw, v = t[:3]
            dense = torch.zeros_like(w)
            dense[first:last] = dw[: last - first]
            mask, g = mask_of(w), torch.zeros_like(w)
            opt = optimiser([w], [g], [v], **how)

            def call() -> Any:
                torch.mul(dense, mask, out=g)
                opt.step()
                return w

            return call

        return make

    def layer(**how: bool) -> Peer:
        def make(t: list[Any]) -> Any:
            x, dy, w, v = t[0], t[1], t[5], t[6]
            mask, g = mask_of(w), torch.zeros_like(w)
            opt = optimiser([w], [g], [v], **how)

            def call() -> Any:
                torch.mm(dy.t(), x, out=g)
                g.mul_(mask)
                opt.step()
                return w

            return call

        return make

    def rivals(peer: Any, precision: str) -> dict[str, dict[str, Any]]:
        return {
            name: {**told, "precision": precision, "peer": peer(**{name.split("_")[1]: True})}
            for name, told in HOW.items()
        }

    step = Step(ops.SEMI_SYNC_UPDATE, (w, dw, v, rows, offsets, group, lr), attrs)
    name = f"{m}x{m}"
    yield Case("semi_sync_update", name, [step], update(), rivals(update, "float32"))
    for precision in ("tf32", "float32"):
        steps = [
            Step(
                ops.LINEAR_BACKWARD_WEIGHT_ROWS,
                (x, dy, rows, offsets, group),
                {"precision": precision},
            ),
            Step(ops.SEMI_SYNC_UPDATE, (w, ("step", 0, 0), v, rows, offsets, group, lr), attrs),
        ]
        others = rivals(layer, precision)
        yield Case("semi_sync_layer", name, steps, layer(), others, precision)


def cases(pool: Pool, tiny: bool, shapes: slice) -> Iterator[Case]:
    """Of these shapes; with the first one what has sizes of its own."""
    if not shapes.start:
        for own in (updates, semi_sync, losses, batches):
            yield from own(pool, tiny)
    for shape in (TINY if tiny else SHAPES)[shapes]:
        for family in (norms, pools, activations, reductions):
            yield from family(pool, shape)
