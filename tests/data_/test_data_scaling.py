import numpy as np
import pytest

from sentei.data import Dataset, resize
from sentei.errors import DataError

SIZES = [
    ((32, 32), (64, 64)), ((37, 53), (13, 20)), ((28, 28), (1, 1)), ((1, 1), (5, 7)),
    ((13, 1), (4, 9)), ((7, 7), (7, 7)), ((5, 9), (9, 5)), ((96, 96), (32, 33)),
]  # fmt: skip


def reference(x, size, method):
    """The definition in float64, one output place at a time."""

    def kernel(t):
        t = abs(t)
        if method == "bilinear":
            return max(0.0, 1 - t)
        if t < 1:
            return 1.5 * t**3 - 2.5 * t**2 + 1
        return -0.5 * t**3 + 2.5 * t**2 - 4 * t + 2 if t < 2 else 0.0

    def matrix(n_in, n_out):
        ratio = n_in / n_out
        rows = [
            [kernel((j + 0.5 - (i + 0.5) * ratio) / max(ratio, 1.0)) for j in range(n_in)]
            for i in range(n_out)
        ]
        m = np.array(rows)
        return m / m.sum(axis=1, keepdims=True)

    up, across = matrix(x.shape[1], size[0]), matrix(x.shape[2], size[1])
    return np.einsum("ph,nhwc,qw->npqc", up, x.astype(np.float64), across)


def tolerance(old, new):
    # rounding of two passes over at most 4 * ratio + 1 taps each, pixels and weights below about 1
    taps = sum(4 * max(1, a / b) + 1 for a, b in zip(old, new, strict=True))
    return 2 * taps * np.finfo(np.float32).eps


@pytest.mark.parametrize("method", ["bicubic", "bilinear"])
@pytest.mark.parametrize(("old", "new"), SIZES)
def test_agrees_with_the_definition(old, new, method):
    x = np.random.default_rng(0).random((2, *old, 3), np.float32)
    got = resize(x, new, method)
    assert got.shape == (2, *new, 3)
    assert np.abs(got - reference(x, new, method)).max() <= tolerance(old, new)


@pytest.mark.parametrize("method", ["bicubic", "bilinear"])
@pytest.mark.parametrize(("old", "new"), SIZES)
def test_agrees_with_pillow(old, new, method):
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    x = np.random.default_rng(1).random((2, *old, 1), np.float32)
    resample = {"bicubic": image.Resampling.BICUBIC, "bilinear": image.Resampling.BILINEAR}[method]
    want = [np.asarray(image.fromarray(i[..., 0]).resize(new[::-1], resample)) for i in x]
    assert np.abs(resize(x, new, method) - np.stack(want)[..., None]).max() <= tolerance(old, new)


def test_bytes_are_rounded_once_and_clipped():
    x = np.random.default_rng(2).choice(np.array([0, 255], np.uint8), (3, 8, 8, 1))
    exact = resize(x.astype(np.float32), 20)
    assert exact.min() < 0  # the cubic overshoots, so that clipping is tested at all
    assert exact.max() > 255
    got = resize(x, 20)
    assert got.dtype == np.uint8
    assert np.array_equal(got, np.clip(np.rint(exact), 0, 255).astype(np.uint8))


def test_a_constant_image_stays_constant():
    assert (resize(np.full((1, 13, 37, 1), 77, np.uint8), (5, 50)) == 77).all()


def test_bits_do_not_depend_on_the_blocks():
    x = np.random.default_rng(3).random((9, 40, 40, 3), np.float32)
    whole = resize(x, 300)  # several blocks
    assert np.array_equal(whole, np.concatenate([resize(x[i : i + 1], 300) for i in range(9)]))


def test_no_images_give_no_images():
    assert resize(np.zeros((0, 4, 4, 1), np.float32), 8).shape == (0, 8, 8, 1)


def test_dataset_resize_keeps_labels():
    data = Dataset(np.zeros((2, 4, 4, 1), np.uint8), np.array([1, 0]))
    assert data.resize((2, 3)).shape == (2, 3, 1)
    assert data.resize(2).labels.tolist() == [1, 0]


X = np.zeros((1, 4, 4, 1), np.float32)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((X[0], 4), "images must be"),
        ((X.astype(np.int64), 4), "images must be"),
        ((X[:, :0], 4), "images must be"),
        ((X, 4, "nearest"), "method must be one of bicubic, bilinear, got 'nearest'"),
        ((X, 0), "size must be"),
        ((X, (4, -1)), "size must be"),
        ((X, (4, 4, 4)), "size must be"),
        ((X, 1 << 17), "size must be"),
        ((X, (4.0, 4)), "size must be"),
    ],
)
def test_refuses(args, message):
    with pytest.raises(DataError, match=message):
        resize(*args)
