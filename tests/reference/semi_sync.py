"""Semi-synchronous update in float64, from the formulas."""

from __future__ import annotations

import numpy as np


def partition(m, permutation=None):
    """rows (M,), offsets (G+1,): G = round(sqrt(M)) groups, sizes even, larger ones first."""
    g = max(1, round(m**0.5))
    sizes = [m // g + (i < m % g) for i in range(g)]
    rows = np.arange(m) if permutation is None else np.asarray(permutation)
    return rows.astype(np.int32), np.cumsum([0, *sizes]).astype(np.int32)


def update(w, dw, v, active, lr, momentum=0.0, weight_decay=0.0, l2=0.0):
    """`active`: list of rows; dw has all rows. Returns new w and v."""
    w = w.copy()
    g = lr * (dw + (weight_decay + 2 * l2) * w)
    if v is None:
        w[active] -= g[active]
        return w, None
    v = momentum * v
    v[active] -= g[active]
    return w + v, v
