"""Discriminant regulariser in float64, class by class."""

from __future__ import annotations

import numpy as np


def forward(y, labels):
    """W, T, ratio and gradient of their sum."""
    y = np.asarray(y, np.float64)
    n, k = y.shape
    within, total, ratio, grad = np.zeros(k), np.zeros(k), np.ones(k), np.zeros((n, k))
    for c in range(k if n else 0):
        v, t = y[:, c], labels == c
        m = np.empty(n)
        for part in (t, ~t):
            if part.any():
                m[part] = v[part].mean()
        w_c, t_c = ((v - m) ** 2).mean(), ((v - v.mean()) ** 2).mean()
        if t_c <= 1e-12 * max(1, v.mean() ** 2):
            continue
        within[c], total[c] = w_c, t_c
        if t.any() and not t.all():
            ratio[c] = w_c / t_c
            grad[:, c] = 2 / (n * t_c) * ((v - m) - ratio[c] * (v - v.mean()))
    return within, total, ratio, grad
