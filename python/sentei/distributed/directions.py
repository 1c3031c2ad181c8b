"""The direction of L-BFGS from inner products alone: what a coordinator can do that holds no vector."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentei.errors import DataError

__all__ = ["Directions"]


class Directions:
    """Inner products of s_0 .. s_{m-1}, y_0 .. y_{m-1} and the gradient, and what follows from them.

    The vectors lie with the shards, in this order; s_i = w_{k+1} - w_k and y_i = g_{k+1} - g_k stand in
    slot i of a ring. A direction is a list of 2 m + 1 factors of them.

    Source:
        W. Chen, Z. Wang, J. Zhou, Large-scale L-BFGS using MapReduce, NIPS 2014, algorithm 3.
    """

    def __init__(self, memory: int) -> None:
        self.memory = memory
        self.count, self.at = 0, 0  # pairs kept; slot of the next one
        self.products: NDArray[np.float64] = np.zeros((2 * memory + 1,) * 2)

    def learn(self, squared: float) -> None:
        """The first gradient: its square."""
        self.products[-1, -1] = squared

    def put(self, rows: NDArray[np.float64]) -> bool:
        """Take the products of a step: rows (3, 2 m + 1) of the new s, the new y and the new g with all.

        The shards have put s and y into slot `at` by now. False: the pair has no curvature
        (s.y <= 1e-8 |s| |y|) and does not count; the slot is used again.
        """
        m = self.memory
        for row, place in zip(rows, (self.at, m + self.at, 2 * m), strict=True):
            self.products[place], self.products[:, place] = row, row
        ss, sy, yy = rows[0, self.at], rows[0, m + self.at], rows[1, m + self.at]
        if not sy > 1e-8 * math.sqrt(ss * yy):  # false for NaN too
            self.count = min(self.count, m - 1)
            return False
        self.count, self.at = min(self.count + 1, m), (self.at + 1) % m
        return True

    def factors(self) -> NDArray[np.float64]:
        """Factors (2 m + 1,) of -H g: the two loops, each product taken from the table."""
        m, p = self.memory, self.products
        newest_first = [(self.at - 1 - k) % m for k in range(self.count)]
        q = np.zeros(2 * m + 1)
        q[-1] = 1.0
        a = {}
        for i in newest_first:
            a[i] = float(q @ p[i]) / p[i, m + i]
            q[m + i] -= a[i]
        if newest_first:
            i = newest_first[0]
            q *= p[i, m + i] / p[m + i, m + i]
        for i in reversed(newest_first):
            q[i] += a[i] - float(q @ p[m + i]) / p[i, m + i]
        return -q

    def slope(self, factors: NDArray[np.float64]) -> float:
        """d . g of the direction d with these factors."""
        return float(factors @ self.products[-1])

    @property
    def gradient_norm(self) -> float:
        return math.sqrt(max(float(self.products[-1, -1]), 0.0))

    def to_json(self) -> dict[str, Any]:
        """All of it as JSON data; floats keep their bits."""
        return {
            "memory": self.memory,
            "count": self.count,
            "at": self.at,
            "products": [[x.hex() for x in row] for row in self.products.tolist()],
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Directions:
        """The reverse; DataError when it is damaged."""
        try:
            out = cls(int(data["memory"]))
            rows: Sequence[Sequence[str]] = data["products"]
            table = np.array([[float.fromhex(x) for x in row] for row in rows])
            out.count, out.at = int(data["count"]), int(data["at"])
            if table.shape != out.products.shape or not 0 <= out.count <= out.memory > out.at >= 0:
                raise ValueError(f"{table.shape} products, {out.count} pairs")
        except (KeyError, TypeError, ValueError) as e:
            raise DataError(f"sandblaster: the saved products must be whole, got: {e}") from e
        out.products = table
        return out
