"""Ops of a step that several processes make together: the only nodes of a graph that talk to others.

They belong to one Comm, so they are made by functions and are in no table of ops; graphs with them are
never written to a file. A sum over ranks is written S() below, the share of this rank of the mini-batch
is s = n_r / N, and the loss of a step is the mean over all N samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentei import _core
from sentei._core import Tensor
from sentei.distributed.mpi import Comm, Pending
from sentei.errors import DeviceError
from sentei.graph import Attrs, Op, Spec
from sentei.ops.batch_norm import norm_workspace

__all__ = ["Exchange", "array_of"]

Specs = Sequence[Spec | None]
Tensors = Sequence[Tensor | None]
_SMALL = 1 << 20  # bytes: gradients up to this size travel together
_EPS = 1e-5


def array_of(t: Tensor | None) -> NDArray[Any]:
    """A tensor's own memory as an array."""
    if t is None or t.device != "cpu":
        raise DeviceError(
            f"mpi: tensors must be on cpu, got one on {None if t is None else t.device}"
        )
    return np.asarray(t)


def _same(inputs: Specs, attrs: Attrs) -> tuple[Spec, ...]:
    return tuple(s for s in inputs if s is not None)


def _nothing(inputs: Specs, attrs: Attrs) -> tuple[Spec, ...]:
    return ()


@dataclass(frozen=True)
class Exchange:
    """Makes the ops. rows: first and last but one of this rank's samples; batch: N."""

    comm: Comm
    rows: tuple[int, int]
    batch: int

    @property
    def share(self) -> float:
        """s: the part of the mini-batch that is this rank's."""
        return (self.rows[1] - self.rows[0]) / self.batch

    # -- figures of a step ---------------------------------------------------------------------
    def figures(self) -> Op:
        """S(s total), S(s loss), S(correct): figures of the whole mini-batch."""

        def run(ins: Tensors, outs: Sequence[Tensor], attrs: Attrs, ws: Tensor | None) -> None:
            scales = (self.share, self.share, 1.0)
            mine = np.array(
                [float(array_of(t)[0]) * k for t, k in zip(ins, scales, strict=False)], np.float64
            )
            self.comm.sum(mine)
            for out, value in zip(outs, mine, strict=True):
                array_of(out)[0] = value

        return Op("exchange_figures", ("xs*",), ("total", "loss", "correct"), _same, run)

    # -- gradients -----------------------------------------------------------------------------
    def bucket(self) -> tuple[Op, Op]:
        """Begin and end S(g) of some gradients, in place; small ones travel in one message."""
        pending: list[Pending] = []
        packed: list[NDArray[Any]] = []

        def start(ins: Tensors, outs: Sequence[Tensor], attrs: Attrs, ws: Tensor | None) -> None:
            arrays = [array_of(t) for t in ins]
            if len(arrays) == 1:
                pending.append(self.comm.start_sum(arrays[0]))
                return
            if not packed:
                packed.append(np.empty(sum(a.size for a in arrays), np.float32))
            at = 0
            for a in arrays:
                packed[0][at : at + a.size] = a.reshape(-1)
                at += a.size
            pending.append(self.comm.start_sum(packed[0]))

        def wait(ins: Tensors, outs: Sequence[Tensor], attrs: Attrs, ws: Tensor | None) -> None:
            self.comm.wait(pending.pop())
            if len(ins) == 1:
                return
            at = 0
            for t in ins:
                a = array_of(t)
                a.reshape(-1)[:] = packed[0][at : at + a.size]
                at += a.size

        inputs = ("xs*",)
        return (
            Op("exchange_start", inputs, (), _nothing, start, mutates=("xs",)),
            Op("exchange_wait", inputs, (), _nothing, wait, mutates=("xs",)),
        )

    def poke(self) -> Op:
        """Let MPI work on what is under way."""

        def run(ins: Tensors, outs: Sequence[Tensor], attrs: Attrs, ws: Tensor | None) -> None:
            self.comm.poke()

        return Op("exchange_poke", (), (), _nothing, run)

    # -- batch norm ----------------------------------------------------------------------------
    def statistics(self) -> Op:
        """mean and biased variance of this rank's x, where no convolution has computed them."""

        def infer(inputs: Specs, attrs: Attrs) -> tuple[Spec, ...]:
            x = inputs[0]
            assert x is not None
            return (Spec(x.shape[-1:]), Spec(x.shape[-1:]))

        def scratch(inputs: Specs, outputs: Sequence[Spec], attrs: Attrs, device: str) -> int:
            x = inputs[0]
            assert x is not None
            return _round(x.nbytes) + norm_workspace(inputs, outputs, attrs, device)

        def run(ins: Tensors, outs: Sequence[Tensor], attrs: Attrs, ws: Tensor | None) -> None:
            x = ins[0]
            assert x is not None and ws is not None
            c = x.shape[-1]
            y = ws.view(x.shape, 0, "float32")
            at = _round(y.nbytes)
            rest = ws.view((ws.shape[0] - at,), at, "uint8")
            one, zero = Tensor.from_numpy(np.ones(c, np.float32)), Tensor.zeros((c,))
            mean, rstd = outs
            _core.batch_norm_forward(
                x, one, zero, Tensor.zeros((c,)), Tensor.zeros((c,)), y, mean, rstd, rest, _EPS, 0.0,
                False,
            )  # fmt: skip
            var = 1.0 / np.square(array_of(rstd), dtype=np.float64) - _EPS
            array_of(rstd)[:] = np.maximum(var, 0.0)

        return Op("batch_statistics", ("x",), ("mean", "var"), infer, run, workspace=scratch)

    def moments(self) -> Op:
        """mean = S(s mean_r), var = S(s (var_r + (mean_r - mean)^2)): those of the whole mini-batch.

        One message: S(s mean_r) and S(s (var_r + mean_r^2)) in float64, in which the difference of
        squares of float32 numbers loses nothing that counts.
        """

        def run(ins: Tensors, outs: Sequence[Tensor], attrs: Attrs, ws: Tensor | None) -> None:
            m, v = (array_of(t).astype(np.float64) for t in ins)
            both = np.stack([m, v + m * m]) * self.share
            if self.comm.muted:
                both /= self.share
            self.comm.sum(both)
            array_of(outs[0])[:] = both[0]
            array_of(outs[1])[:] = np.maximum(both[1] - both[0] * both[0], 0.0)

        return Op("exchange_moments", ("mean", "var"), ("batch_mean", "batch_var"), _same, run)

    def exchange_sums(self) -> Op:
        """dgamma = S(dgamma_r), dbeta = S(dbeta_r): the gradients themselves, and what dx needs."""

        def run(ins: Tensors, outs: Sequence[Tensor], attrs: Attrs, ws: Tensor | None) -> None:
            both = np.stack([array_of(t).astype(np.float64) for t in ins])
            self.comm.sum(both)
            for out, value in zip(outs, both, strict=True):
                array_of(out)[:] = value

        return Op("exchange_sums", ("dgamma", "dbeta"), ("dgamma_sum", "dbeta_sum"), _same, run)

    def through(self) -> Op:
        """From dx with this rank's sums to dx with those of all ranks.

        dx = a g - a (dbeta + xhat dgamma) / n, a = gamma rstd, n the pixels that were summed over; the
        kernel has put in dbeta_r, dgamma_r and n_r, so a line in x is missing:
        dx = dx_r + a (dbeta_r / n_r - dbeta / n) + a xhat (dgamma_r / n_r - dgamma / n).
        """

        def infer(inputs: Specs, attrs: Attrs) -> tuple[Spec, ...]:
            x = inputs[1]
            assert x is not None
            return (Spec(x.shape),)

        def scratch(inputs: Specs, outputs: Sequence[Spec], attrs: Attrs, device: str) -> int:
            return _round(outputs[0].nbytes) + norm_workspace(inputs, outputs, attrs, device)

        def run(ins: Tensors, outs: Sequence[Tensor], attrs: Attrs, ws: Tensor | None) -> None:
            local, x, gamma, mean, rstd = ins[:5]
            assert x is not None and ws is not None
            pixels = array_of(x).size // x.shape[-1]
            own_gamma, own_beta, all_gamma, all_beta = (
                array_of(t).astype(np.float64) / n
                for t, n in zip(ins[5:], (pixels, pixels, *[pixels / self.share] * 2), strict=True)
            )
            r = array_of(rstd).astype(np.float64)
            a = array_of(gamma) * r
            # slope (x - mean) + shift, as a batch norm with variance 1 computes it
            slope = a * r * (own_gamma - all_gamma) * np.sqrt(1.0 + _EPS)
            k, d = (
                Tensor.from_numpy(v.astype(np.float32)) for v in (slope, a * (own_beta - all_beta))
            )
            one = Tensor.from_numpy(np.ones(x.shape[-1], np.float32))
            line = ws.view(x.shape, 0, "float32")
            at = _round(line.nbytes)
            rest = ws.view((ws.shape[0] - at,), at, "uint8")
            _core.batch_norm_inference_forward(x, k, d, mean, one, line, rest, _EPS, False)
            _core.add_forward(local, line, outs[0], False)

        vectors = ("gamma", "mean", "rstd", "dgamma_part", "dbeta_part", "dgamma", "dbeta")
        return Op(
            "batch_norm_through",
            ("dx_part", "x", *vectors),
            ("dx",),
            infer,
            run,
            workspace=scratch,
        )

    # -- dropout -------------------------------------------------------------------------------
    def dropout(self, name: str) -> Op:
        """This rank's rows of the mask that one process would draw for the whole mini-batch."""

        def infer(inputs: Specs, attrs: Attrs) -> tuple[Spec, ...]:
            x = inputs[0]
            assert x is not None
            return (Spec(x.shape),)

        def scratch(inputs: Specs, outputs: Sequence[Spec], attrs: Attrs, device: str) -> int:
            y = outputs[0]
            return y.nbytes // max(y.shape[0], 1) * self.batch

        def run(ins: Tensors, outs: Sequence[Tensor], attrs: Attrs, ws: Tensor | None) -> None:
            x, rng = ins
            assert x is not None and rng is not None and ws is not None
            keep = attrs["keep"]
            mask = ws.view((self.batch, *x.shape[1:]), 0, "float32")
            _core.dropout_mask(rng, mask, keep, attrs["stream"])
            first = self.rows[0] * (x.nbytes // x.shape[0])
            factor = 1.0 / keep if attrs.get("inverted", False) else 1.0
            _core.mask_multiply_forward(x, mask.view(x.shape, first, "float32"), outs[0], factor)

        return Op(f"{name}_part", ("x", "rng"), ("y",), infer, run, workspace=scratch)


def _round(nbytes: int) -> int:
    """Room of a map in a workspace: what follows begins on a line, past what vector loads touch."""
    return (nbytes + 128 + 63) // 64 * 64


def buckets(sizes: Sequence[tuple[str, int]]) -> list[list[str]]:
    """Cut gradients (name, bytes), in the order in which they are done, into messages.

    A large one travels alone from where it lies; small ones wait for each other up to a megabyte.
    """
    made: list[list[str]] = []
    room = 0
    for name, nbytes in sizes:
        if nbytes > _SMALL:
            made.append([name])
            room = 0
        elif room >= nbytes:
            made[-1].append(name)
            room -= nbytes
        else:
            made.append([name])
            room = _SMALL - nbytes
    return made
