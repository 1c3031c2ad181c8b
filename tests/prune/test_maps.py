"""Principal axes, on which the maps of a block and the responses of a layer are drawn."""

from __future__ import annotations

import numpy as np
import pytest

from sentei.errors import ShapeError
from sentei.prune.maps import principal_axes


def test_axes_of_a_stretched_cloud():
    rng = np.random.default_rng(0)
    turn, _ = np.linalg.qr(rng.standard_normal((5, 5)))
    x = rng.standard_normal((400, 5)) * [9, 3, 0.1, 0.1, 0.1] @ turn.T + 7
    mean, axes, share = principal_axes(x)
    variances = np.linalg.eigvalsh(np.cov(x.T))[::-1]
    np.testing.assert_allclose(mean, x.mean(0))
    np.testing.assert_allclose(axes @ axes.T, np.eye(2), atol=64 * np.finfo(float).eps)
    np.testing.assert_allclose(share, variances[:2] / variances.sum())
    assert abs(axes[0] @ turn[:, 0]) > 0.99 and abs(axes[1] @ turn[:, 1]) > 0.99
    assert (axes.max(1) == np.abs(axes).max(1)).all()  # the sign is settled


def test_points_of_a_plane_come_back():
    rng = np.random.default_rng(3)
    x = rng.standard_normal((50, 2)) * [5, 1] @ rng.standard_normal((2, 7)) + 3
    mean, axes, share = principal_axes(x)
    np.testing.assert_allclose((x - mean) @ axes.T @ axes + mean, x)
    assert share.sum() == pytest.approx(1.0) and share[0] > share[1]


@pytest.mark.parametrize("x", [np.ones((4, 3)), np.ones((3, 1)), np.ones((1, 2))], ids=str)
def test_nothing_varies(x):
    _, axes, share = principal_axes(x)
    assert axes.shape == (2, x.shape[1]) and not axes.any() and not share.any()


def test_refuses():
    with pytest.raises(ShapeError, match="x must have shape"):
        principal_axes(np.ones((0, 3)))
