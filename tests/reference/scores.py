"""Sums over samples and scores in float64, straight from maps and gradients (N, ..., C)."""

from __future__ import annotations

import numpy as np


def flat(a):
    """(N, pixels, C) in float64."""
    a = np.asarray(a, np.float64)
    return a.reshape(a.shape[0], int(np.prod(a.shape[1:-1])), a.shape[-1])


def sums(x, g):
    """stats (6, C), sum_x, sum_g (one sample's shape)."""
    xx = (flat(x) ** 2).sum(axis=1)
    d = (flat(x) * flat(g)).sum(axis=1)
    stats = np.stack([a.sum(axis=0) for a in (xx, d, d**2, xx**2, d**3, d**4)])
    return stats, np.asarray(x, np.float64).sum(axis=0), np.asarray(g, np.float64).sum(axis=0)


def trace_sums(x, mean_g):
    d = (flat(x) * flat(mean_g[None])).sum(axis=1)
    return np.stack([(d**2).sum(axis=0), (d**4).sum(axis=0)])


def per_sample(x, g):
    """name -> (N, C): the quantity whose mean over samples is the score (oracle: before | |)."""
    d = (flat(x) * flat(g)).sum(axis=1)
    mean_g = flat(g).mean(axis=0, keepdims=True)
    return {
        "norm": (flat(x) ** 2).sum(axis=1),
        "first": -d,
        "first_second": -d + d**2 / 2,
        "fisher": d**2 / 2,
        "oracle": d,
        "trace": (flat(x) * mean_g).sum(axis=1) ** 2,
    }


def from_gradients(layers):
    """stats (2, sum of the K) of one batch: layers of (w, dw) or (w, dw, b, db)."""
    parts = []
    for w, dw, *rest in layers:
        products = np.asarray(w, np.float64) * np.asarray(dw, np.float64)
        v = products.sum(axis=tuple(range(1, products.ndim)))
        if rest:
            v = v + np.asarray(rest[0], np.float64) * np.asarray(rest[1], np.float64)
        parts.append(v)
    v = np.concatenate(parts)
    return np.stack([v, v**2])
