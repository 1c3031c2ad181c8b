"""What all tests share: tolerances, data that makes comparison exact, checks of gradients, vectors."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from sentei.tensor import Tensor

DATA = Path(__file__).parent / "data"
RAGGED = (1, 3, 13, 37, 64)  # channel counts as pruning makes them


def shared() -> Path | None:
    """The folder of studies and data beside a development checkout, if there is one."""
    path = Path(os.environ.get("SENTEI_SHARED", Path(__file__).resolve().parents[2] / "shared"))
    return path if path.is_dir() else None


def tolerance(dtype: Any, terms: int) -> float:
    """Relative bound on the error of a sum of `terms` products: 8 eps sqrt(terms)."""
    return 8.0 * float(np.finfo(dtype).eps) * max(1.0, float(np.sqrt(terms)))


def array(x: Any) -> np.ndarray:
    """Any result as a NumPy array, from whatever device it is on."""
    return x.numpy() if isinstance(x, Tensor) else np.asarray(x)


def shifted(x: np.ndarray, device: str) -> Tensor:
    """A copy of x that starts 4 bytes past the alignment of its memory: no room for wide vectors."""
    whole = Tensor.empty((x.nbytes + 64,), "uint8", device=device)
    t = whole.view(x.shape, 4, str(x.dtype))
    t.copy_from(x)
    return t


def assert_close(got: Any, want: Any, terms: int = 1, scale: float | None = None) -> None:
    """got equals want to the tolerance of `terms` terms, relative to the largest wanted magnitude."""
    got = array(got)
    want = array(want)
    assert got.shape == want.shape, (got.shape, want.shape)
    if want.size == 0:
        return
    scale = float(np.abs(want).max()) if scale is None else scale
    limit = tolerance(np.float32, terms) * (scale or 1.0)
    error = np.abs(got.astype(np.float64) - want)
    assert np.isfinite(got).all(), "not finite"
    assert error.max() <= limit, (
        f"largest error {error.max():.3e} > {limit:.3e} at {np.unravel_index(error.argmax(), error.shape)}"
    )


def assert_exact(got: Any, want: Any) -> None:
    """Bitwise equality of float32 values with a float64 reference that float32 represents."""
    got = array(got)
    want = array(want)
    assert got.shape == want.shape, (got.shape, want.shape)
    assert np.array_equal(got.astype(np.float64), want), np.argwhere(got != want)[:5]


def integers(rng: np.random.Generator, shape: tuple[int, ...], bound: int = 4) -> np.ndarray:
    """Small whole numbers as float32: every sum of products below 2**24 is exact in any order."""
    return rng.integers(-bound, bound + 1, shape).astype(np.float32)


def normal(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.standard_normal(shape).astype(np.float32)


def central_difference(
    f: Callable[[np.ndarray], float], x: np.ndarray, index: tuple[int, ...], eps: float = 1e-6
) -> float:
    """(f(x + e) - f(x - e)) / 2 eps for a float64 function, at one element."""
    up, down = x.astype(np.float64).copy(), x.astype(np.float64).copy()
    up[index] += eps
    down[index] -= eps
    return (f(up) - f(down)) / (2 * eps)


def vectors(topic: str) -> dict[str, np.ndarray]:
    """Reference vectors of one topic (tests/data/<topic>.npz; described in tests/data/README.md)."""
    with np.load(DATA / f"{topic}.npz", allow_pickle=False) as z:
        return {k: z[k] for k in z.files}


def cases(topic: str) -> list[str]:
    return [str(c) for c in vectors(topic)["cases"]]


def assert_vector(got: Any, want: np.ndarray, tol: float) -> None:
    """|got - want| <= tol * largest |want| (1 if all are 0): the rule of the reference vectors."""
    got = array(got).astype(np.float64)
    assert got.shape == want.shape, (got.shape, want.shape)
    if want.size == 0:
        return
    scale = float(np.abs(want).max()) or 1.0
    assert np.isfinite(got).all(), "not finite"
    assert np.abs(got - want).max() <= tol * scale, (
        f"{np.abs(got - want).max() / scale:.2e} > {tol:.0e}"
    )
