"""Parametric ReLU in float64."""

from __future__ import annotations

import numpy as np


def forward(x, a):
    return np.where(x > 0, x, a * x)


def backward(x, a, dy):
    return np.where(x > 0, dy, a * dy), np.sum(np.where(x > 0, 0.0, x * dy)).reshape(1)
