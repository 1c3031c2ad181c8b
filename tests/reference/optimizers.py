"""Parameter updates in float64, from the formulas. Each returns new arrays."""

from __future__ import annotations

import numpy as np


def joined(w, g, weight_decay=0.0, l2=0.0):
    return g + weight_decay * w + 2 * l2 * w


def sgd(w, g, v, lr, momentum=0.0, **decay):
    g = joined(w, g, **decay)
    if v is None:
        return w - lr * g, None
    v = momentum * v - lr * g
    return w + v, v


def adagrad(w, g, h, lr, eps, **decay):
    g = joined(w, g, **decay)
    h = h + g**2
    return w - lr * g / (np.sqrt(h) + eps), h


def rmsprop(w, g, h, lr, alpha, eps, **decay):
    g = joined(w, g, **decay)
    h = alpha * h + (1 - alpha) * g**2
    return w - lr * g / np.sqrt(h + eps), h


def adam(w, g, m, v, t, lr, beta1, beta2, eps, eps_inside=False, **decay):
    g = joined(w, g, **decay)
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g**2
    mhat, vhat = m / (1 - beta1**t), v / (1 - beta2**t)
    scale = np.sqrt(vhat + eps) if eps_inside else np.sqrt(vhat) + eps
    return w - lr * mhat / scale, m, v
