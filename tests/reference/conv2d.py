"""Convolution from its definition, float64, any stride, padding, dilation and groups."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def _windows(x: Array, w: Array, stride, padding, dilation):
    """Padded x and, per tap (r, s), the view of x that it multiplies: (N, P, Q, C)."""
    (sh, sw), (ph, pw), (dh, dw) = stride, padding, dilation
    xp = np.pad(x, ((0, 0), (ph, ph), (pw, pw), (0, 0)))
    _, r, s, _ = w.shape
    p = (xp.shape[1] - dh * (r - 1) - 1) // sh + 1
    q = (xp.shape[2] - dw * (s - 1) - 1) // sw + 1
    taps = {
        (i, j): (
            slice(None),
            slice(i * dh, i * dh + (p - 1) * sh + 1, sh),
            slice(j * dw, j * dw + (q - 1) * sw + 1, sw),
        )
        for i in range(r)
        for j in range(s)
    }
    return xp, taps, p, q


def _groups(x, w):
    """(channels of x, filters) of each group."""
    c, cg = x.shape[3], w.shape[3]
    g = c // cg
    kg = w.shape[0] // g
    return [(slice(i * cg, (i + 1) * cg), slice(i * kg, (i + 1) * kg)) for i in range(g)]


def forward(x, w, b=None, stride=(1, 1), padding=(0, 0), dilation=(1, 1)):
    x, w = x.astype(np.float64), w.astype(np.float64)
    xp, taps, p, q = _windows(x, w, stride, padding, dilation)
    y = np.zeros((x.shape[0], p, q, w.shape[0]))
    for cs, ks in _groups(x, w):
        for (i, j), at in taps.items():
            y[..., ks] += xp[at][..., cs] @ w[ks, i, j, :].T
    return y if b is None else y + b.astype(np.float64)


def backward_input(dy, w, x_shape, stride=(1, 1), padding=(0, 0), dilation=(1, 1)):
    dy, w = dy.astype(np.float64), w.astype(np.float64)
    x = np.zeros(x_shape)
    xp, taps, _, _ = _windows(x, w, stride, padding, dilation)
    for cs, ks in _groups(x, w):
        for (i, j), at in taps.items():
            xp[at][..., cs] += dy[..., ks] @ w[ks, i, j, :]
    (ph, pw), (h, wd) = padding, x_shape[1:3]
    return xp[:, ph : ph + h, pw : pw + wd]


def backward_weight(x, dy, w_shape, stride=(1, 1), padding=(0, 0), dilation=(1, 1)):
    x, dy = x.astype(np.float64), dy.astype(np.float64)
    dw = np.zeros(w_shape)
    xp, taps, _, _ = _windows(x, dw, stride, padding, dilation)
    for cs, ks in _groups(x, dw):
        for (i, j), at in taps.items():
            dw[ks, i, j, :] = np.einsum("npqk,npqc->kc", dy[..., ks], xp[at][..., cs])
    return dw
