"""gather_batch: the bits of the loader's mini-batches, and its own formula, on every device."""

from __future__ import annotations

import numpy as np
import pytest

from helpers import array
from sentei import _core
from sentei.data import Dataset, Loader, RandomCrop, RandomFlip, Resize, Standardize
from sentei.errors import DTypeError, ShapeError
from sentei.ops import gather_batch_forward
from sentei.tensor import Tensor


def reference(images, plan, scale, shift):
    _, h, w, c = images.shape
    x = np.zeros((len(plan), h, w, c), np.float32)
    for b, (i, r, s, mirrored) in enumerate(plan):
        for y in range(h):
            for v in range(w):
                column = (w - 1 - v if mirrored else v) + s
                if 0 <= y + r < h and 0 <= column < w:
                    x[b, y, v] = images[i, y + r, column]
    return x * scale + shift


@pytest.mark.devices
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("shape", [(5, 6, 8, 3), (4, 5, 7, 1), (3, 4, 4, 1), (2, 1, 1, 13)])
def test_formula(rng, dtype, shape):
    images = rng.integers(0, 256, shape).astype(dtype)
    plan = np.stack(
        [
            rng.integers(0, shape[0], 9),
            rng.integers(-3, 4, 9),
            rng.integers(-3, 4, 9),
            rng.integers(0, 2, 9),
        ],
        1,
    ).astype(np.int32)
    scale, shift = rng.standard_normal((2, shape[3])).astype(np.float32)
    got = array(gather_batch_forward(images, plan, scale, shift))
    assert got.tobytes() == reference(images, plan, scale, shift).tobytes()


@pytest.mark.devices
def test_moved_out_of_sight_and_no_sample():
    images = np.full((1, 2, 2, 1), 9, np.uint8)
    ones, shift = np.ones(1, np.float32), np.array([0.5], np.float32)
    far = np.array([[0, 2, 0, 0], [0, 0, -2, 1], [0, 2**31 - 1, -(2**31), 0]], np.int32)
    assert (array(gather_batch_forward(images, far, ones, shift)) == 0.5).all()
    none = gather_batch_forward(images, np.zeros((0, 4), np.int32), ones, shift)
    assert none.shape == (0, 2, 2, 1)


@pytest.mark.devices
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize(
    "transforms",
    [
        (),
        (RandomCrop(2), RandomFlip()),
        (RandomFlip(), RandomCrop(3)),
        (RandomFlip(0.3), RandomCrop(1), RandomFlip(0.8)),
    ],
)
def test_bits_of_the_loader(rng, device, dtype, transforms):
    images = rng.integers(0, 256, (23, 7, 6, 3)).astype(dtype)
    if dtype == np.float32:
        images /= 77
    data = Dataset(images, np.arange(23) % 4)
    scaling = Standardize((0.1, 0.2, 0.3), (0.7, 1.3, 0.9))
    loader = Loader(
        data, 10, shuffle=True, seed=3, standardize=scaling, transforms=transforms, drop_last=True
    )
    assert loader.movable
    scale, shift = scaling.factors(images.dtype)
    for epoch, step in ((0, 0), (0, 1), (5, 1)):
        plan, labels = loader.moves(epoch, step)
        x, t = loader.batch(epoch, step)
        assert np.array_equal(labels, t)
        got = array(gather_batch_forward(images, plan, scale, shift))
        assert got.tobytes() == x.tobytes()


def test_loaders_that_do_more():
    data = Dataset(np.zeros((4, 6, 6, 1), np.uint8), np.zeros(4, np.int64))
    for transforms in ((Resize(6),), (RandomCrop(1), RandomCrop(1)), (lambda x, keys: x,)):
        assert not Loader(data, 2, transforms=transforms).movable


@pytest.mark.devices
def test_an_image_that_is_not_there(device):
    images, scale = np.ones((2, 1, 2, 1), np.uint8), np.ones(1, np.float32)
    for number in (-1, 2):
        plan = np.array([[1, 0, 0, 0], [number, 0, 0, 0]], np.int32)
        if device == "cpu":
            with pytest.raises(ValueError, match=r"plan must name images in \[0, 2\), got"):
                gather_batch_forward(images, plan, scale, scale)
        else:
            got = array(gather_batch_forward(images, plan, scale, scale))
            assert (got[0] == 2).all() and np.isnan(got[1]).all()


def test_refuses():
    images, plan, one = np.zeros((2, 3, 3, 1), np.uint8), np.zeros((2, 4), np.int32), np.ones(1)
    scale = one.astype(np.float32)
    with pytest.raises(ShapeError, match=r"images must have shape \(N, H, W, C\)"):
        gather_batch_forward(images[0], plan, scale, scale)
    with pytest.raises(ShapeError, match=r"plan must have shape \(B, 4\)"):
        gather_batch_forward(images, plan[:, :3].copy(), scale, scale)
    with pytest.raises(ShapeError, match=r"shift must have shape \(1,\)"):
        gather_batch_forward(images, plan, scale, np.ones(2, np.float32))
    with pytest.raises(DTypeError, match="images must be uint8 or float32, got int32"):
        gather_batch_forward(images.astype(np.int32), plan, scale, scale)
    with pytest.raises(DTypeError, match="plan must be int32, got int64"):
        gather_batch_forward(images, plan.astype(np.int64), scale, scale)
    x = Tensor.zeros((4, 3, 3, 1))
    t = [Tensor.from_numpy(a) for a in (plan, scale)]
    with pytest.raises(ValueError, match="x must not overlap images"):
        _core.gather_batch_forward(x, t[0], t[1], t[1], x.view((2, 3, 3, 1)))
