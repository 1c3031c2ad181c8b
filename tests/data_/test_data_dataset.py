import json

import numpy as np
import pytest

from sentei.data import Dataset, Standardize
from sentei.errors import DataError


def make(n=40, classes=4, shape=(5, 3, 2), seed=0):
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (n, *shape), np.uint8)
    images[:, 0, 0, 0] = np.arange(n) % 256  # tells the images apart
    return Dataset(images, np.arange(n, dtype=np.int64) % classes)


def test_holds_what_it_was_given():
    data = make()
    assert len(data) == 40
    assert data.shape == (5, 3, 2)
    assert data.classes == ("0", "1", "2", "3")
    assert data.num_outputs == 4
    assert data.class_counts().tolist() == [10, 10, 10, 10]
    assert "40 images 5x3x2 uint8, 4 classes" in repr(data)


def test_is_read_only_and_leaves_the_callers_array_alone():
    images = np.zeros((2, 3, 3, 1), np.uint8)
    data = Dataset(images, np.zeros(2, np.int64))
    with pytest.raises(ValueError, match="read-only"):
        data.images[0] = 1
    images[0] = 1
    assert images.flags.writeable


def test_regression_targets():
    data = Dataset(np.zeros((3, 2, 2, 1), np.float32), np.ones((3, 5), np.float32))
    assert data.is_regression
    assert data.num_outputs == 5
    assert data.classes == ()
    assert [len(p) for p in data.split((1, 1, 1))] == [1, 1, 1]
    with pytest.raises(DataError, match="got regression targets"):
        data.class_counts()


X = np.zeros((2, 3, 3, 1), np.float32)
Y = np.zeros(2, np.int64)
NAN = X.copy()
NAN[1, 2, 2, 0] = np.nan
INF = np.full((2, 1), np.inf, np.float32)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (([1], Y), "images must be a NumPy array, got list"),
        ((X, [0, 1]), "labels must be a NumPy array, got list"),
        ((X.astype(np.float64), Y), "images must be uint8 or float32, got float64"),
        ((X[0], Y), r"images must have shape \(N, H, W, C\), got \(3, 3, 1\)"),
        ((X[:0], Y[:0]), "images must not be empty"),
        ((X[:, :, :0], Y), "images must not be empty"),
        ((NAN, Y), "images must be finite, got NaN or infinity"),
        ((X, Y[:1]), r"one entry for each of the 2 images, got shape \(1,\)"),
        ((X, Y[0]), "labels must be a NumPy array, got int64"),
        ((X, np.array(0)), r"one entry for each of the 2 images, got shape \(\)"),
        ((X, Y.astype(np.int32)), "labels must be int64 .* got int32"),
        ((X, Y[:, None]), r"labels must have shape \(N,\), got \(2, 1\)"),
        ((X, Y - 1), r"labels must lie in \[0, 1048576\), got -1"),
        ((X, Y + 3, ("a", "b")), r"labels must lie in \[0, 2\), got 3"),
        ((X, Y + (1 << 40)), r"labels must lie in \[0, 1048576\), got 1099511627776"),
        ((X, Y, (1, 2)), "classes must be strings"),
        ((X, INF), "targets must be finite"),
        ((X, INF[:, 0]), r"targets must have shape \(N, K\), got \(2,\)"),
        ((X, X[:, 0, 0], ("a",)), "classes must be empty for regression targets, got 1 names"),
    ],
)
def test_refuses(args, message):
    with pytest.raises(DataError, match=message):
        Dataset(*args)


def test_subset_keeps_order_and_classes():
    data = make()
    part = data.subset([4, 0, 8])
    assert part.images[:, 0, 0, 0].tolist() == [4, 0, 8]
    assert part.labels.tolist() == [0, 0, 0]
    assert part.classes == data.classes


@pytest.mark.parametrize(
    ("indices", "message"),
    [
        ([], "non-empty list of integers"),
        ([0.5], "non-empty list of integers, got float64"),
        ([[0]], "non-empty list of integers"),
        ([True], "non-empty list of integers, got bool"),
        ([0, 40], r"must lie in \[0, 40\), got 40"),
        ([-1], r"must lie in \[0, 40\), got -1"),
    ],
)
def test_subset_refuses(indices, message):
    with pytest.raises(DataError, match=message):
        make().subset(indices)


@pytest.mark.parametrize("ratios", [(8, 1, 1), (6, 2, 2), (0.7, 0.3)])
@pytest.mark.parametrize("stratify", [True, False])
def test_split_covers_every_image_once_in_the_ratios(ratios, stratify):
    data = make(200)
    parts = data.split(ratios, seed=3, stratify=stratify)
    seen = np.concatenate([p.images[:, 0, 0, 0] for p in parts])
    assert sorted(seen.tolist()) == list(range(200))
    for part, ratio in zip(parts, ratios, strict=True):
        assert abs(len(part) - 200 * ratio / sum(ratios)) <= 1
        if stratify:
            assert np.abs(part.class_counts() - 50 * ratio / sum(ratios)).max() <= 1


def test_split_is_a_function_of_the_seed():
    data = make(100)
    one, same, other = (data.split(seed=s)[1].images[:, 0, 0, 0].tolist() for s in (1, 1, 2))
    assert one == same
    assert one != other


@pytest.mark.parametrize("ratios", [(1,), (1, 0), (1, -1), (1, float("nan"))])
def test_split_refuses_ratios(ratios):
    with pytest.raises(DataError, match="two or more positive numbers"):
        make().split(ratios)


def test_split_refuses_an_empty_part():
    with pytest.raises(DataError, match="an image in every part"):
        make(4).split((8, 1, 1))


@pytest.mark.parametrize("seed", [-1, 1.0, True, 1 << 64])
def test_split_refuses_a_seed(seed):
    with pytest.raises(DataError, match="seed must be an integer"):
        make().split(seed=seed)


def test_as_float_is_exact():
    data = make()
    want = data.images.astype(np.float32) / np.float32(255)
    assert np.array_equal(data.as_float().images, want)
    assert data.as_float().images.max() <= 1
    assert data.as_float().as_float().images.dtype == np.float32


@pytest.mark.parametrize("as_float", [False, True])
def test_standardize_gives_mean_0_and_deviation_1(as_float):
    data = make(300, shape=(4, 5, 3))
    data = data.as_float() if as_float else data
    x = data.as_float().images.astype(np.float64)
    s = Standardize.fit(data)
    np.testing.assert_allclose(s.mean, x.mean(axis=(0, 1, 2)), rtol=1e-6)
    np.testing.assert_allclose(s.std, x.std(axis=(0, 1, 2)), rtol=1e-6)
    got = s.apply(data.images)
    assert got.dtype == np.float32
    # one rounding each for scale, shift, product and sum, of numbers below 1 / std
    bound = 4 * np.finfo(np.float32).eps * (1 / min(s.std))
    assert np.abs(got - (x - s.mean) / s.std).max() <= bound


def test_standardize_of_a_constant_channel_is_finite():
    images = np.full((3, 2, 2, 2), 7, np.uint8)
    images[:, 0, 0, 1] = 9
    for data in (Dataset(images, np.zeros(3, np.int64)),):
        for s in (Standardize.fit(data), Standardize.fit(data.as_float())):
            assert s.std[0] == 1.0
            assert np.isfinite(s.apply(images)).all()


def test_standardize_survives_json_bit_for_bit():
    s = Standardize.fit(make())
    assert Standardize.from_json(json.loads(json.dumps(s.to_json()))) == s


def test_named_scalings():
    images = np.array([0, 255], np.uint8).reshape(2, 1, 1, 1)
    assert Standardize.unit(1).apply(images).reshape(-1).tolist() == [0.0, 1.0]
    assert Standardize.signed(1).apply(images).reshape(-1).tolist() == [-1.0, 1.0]
    assert Standardize.unit(1).apply(images[:0]).shape == (0, 1, 1, 1)


@pytest.mark.parametrize(
    "value",
    [
        None,
        {},
        {"mean": [0.0]},
        {"mean": 0.0, "std": 1.0},
        {"mean": [0.0], "std": [0.0]},
        {"mean": [0.0], "std": [1.0, 1.0]},
        {"mean": [float("nan")], "std": [1.0]},
        {"mean": ["0"], "std": [1.0]},
        {"mean": [], "std": []},
        {"mean": [True], "std": [1.0]},
        {"mean": [0.0], "std": [1.0], "more": 1},
    ],
)
def test_standardize_refuses_json(value):
    with pytest.raises(DataError, match="Standardize: "):
        Standardize.from_json(value)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((1, 2, 2, 3), np.uint8), r"must have shape \(N, H, W, 1\)"),
        (np.zeros((1, 2, 2, 1)), "must be uint8 or float32, got float64"),
        (np.zeros((2, 2, 1), np.uint8), r"must have shape \(N, H, W, 1\)"),
    ],
)
def test_standardize_refuses_images(images, message):
    with pytest.raises(DataError, match=message):
        Standardize.unit(1).apply(images)
