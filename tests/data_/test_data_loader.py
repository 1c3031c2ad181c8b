import itertools
import json
import threading

import numpy as np
import pytest

from sentei.data import (
    ClassLimitedSampler,
    Dataset,
    Loader,
    RandomCrop,
    RandomFlip,
    Resize,
    Standardize,
)  # fmt: skip
from sentei.data._rng import below, permutation, sample_keys
from sentei.errors import DataError


def make(n=50, classes=5, shape=(6, 5, 3)):
    images = np.random.default_rng(0).integers(1, 256, (n, *shape), np.uint8)
    images[:, 0, 0, 0] = np.arange(n)
    return Dataset(images, np.arange(n, dtype=np.int64) % classes)


def ids(x):
    return np.rint(x[:, 0, 0, 0] * 255).astype(int).tolist()


def same(a, b):
    return len(a) == len(b) and all(
        np.array_equal(p[0], q[0]) and np.array_equal(p[1], q[1]) for p, q in zip(a, b, strict=True)
    )


AUGMENT = (RandomFlip(), RandomCrop(2))


def test_an_epoch_has_every_image_once_with_its_label():
    data = make(53)
    loader = Loader(data, 10, shuffle=True, seed=1)
    batches = list(loader)
    assert len(batches) == len(loader) == 6
    assert [len(y) for _, y in batches] == [10] * 5 + [3]
    seen = [i for x, _ in batches for i in ids(x)]
    assert sorted(seen) == list(range(53))
    assert seen != list(range(53))
    for x, y in batches:
        assert x.dtype == np.float32
        assert y.dtype == np.int64
        assert y.tolist() == [i % 5 for i in ids(x)]


def test_in_order_without_shuffle():
    loader = Loader(make(), 20)
    assert [i for x, _ in loader for i in ids(x)] == list(range(50))


def test_drop_last():
    loader = Loader(make(53), 10, drop_last=True)
    assert [len(y) for _, y in loader] == [10] * 5


def test_pixels_are_standardised():
    data = make()
    s = Standardize.fit(data)
    (x, _), *_ = Loader(data, 50, standardize=s)
    assert np.array_equal(x, s.apply(data.images))


def test_epochs_differ_and_seeds_differ():
    data = make()
    a, b = Loader(data, 50, shuffle=True, seed=0), Loader(data, 50, shuffle=True, seed=1)
    orders = [ids(loader.batch(epoch, 0)[0]) for loader in (a, b) for epoch in range(3)]
    assert len({tuple(o) for o in orders}) == 6


def test_the_stream_is_pinned():
    # a checkpoint of an older version must resume on the same batches: never change these
    assert permutation(10, seed=7, epoch=3, stream=2).tolist() == [9, 6, 1, 3, 8, 2, 4, 7, 5, 0]
    keys = sample_keys(7, 3, 1, np.arange(6))
    assert below(keys, 9).tolist() == [0, 2, 4, 3, 1, 6]


@pytest.mark.parametrize("prefetch", [0, 2])
@pytest.mark.parametrize("stop", [0, 1, 4, 5, 7, 10])
def test_resumed_is_never_stopped(stop, prefetch):
    data = make()
    options = {"shuffle": True, "seed": 9, "transforms": AUGMENT, "prefetch": prefetch}

    def forever(loader):
        while True:
            yield from loader

    whole = list(itertools.islice(forever(Loader(data, 10, **options)), 14))
    first = Loader(data, 10, **options)
    stream = forever(first)
    head = list(itertools.islice(stream, stop))
    state = json.loads(json.dumps(first.state()))
    stream.close()
    second = Loader(data, 10, **options)
    second.restore(state)
    assert same(whole, head + list(itertools.islice(forever(second), 14 - stop)))


def test_state_names_the_next_batch():
    loader = Loader(make(), 25)
    states = [loader.state() for _ in loader]
    assert states == [{"epoch": 0, "step": 1}, {"epoch": 1, "step": 0}]
    assert (loader.epoch, loader.step) == (1, 0)


@pytest.mark.parametrize(
    "state",
    [
        None, {"epoch": 0}, {"epoch": 0, "step": 5}, {"epoch": -1, "step": 0},
        {"epoch": 0, "step": 0.5}, {"epoch": 0, "step": 0, "x": 0}, {"epoch": True, "step": 0},
    ],
)  # fmt: skip
def test_restore_refuses(state):
    with pytest.raises(DataError, match="Loader: "):
        Loader(make(), 10).restore(state)


def test_prefetch_changes_no_bit():
    data = make()
    plain, ahead = (
        [b for _ in range(2) for b in loader]
        for loader in (
            Loader(data, 7, shuffle=True, transforms=AUGMENT, prefetch=p) for p in (0, 3)
        )
    )
    assert same(plain, ahead)


def loader_threads():
    return [t for t in threading.enumerate() if t.name.startswith("sentei-loader")]


def test_prefetch_leaves_no_thread_behind():
    loader = Loader(make(), 5, prefetch=2)
    stream = iter(loader)
    next(stream)
    assert loader_threads()
    stream.close()
    assert not loader_threads()
    list(loader)
    assert not loader_threads()


def test_prefetch_is_clean_on_ctrl_c():
    stream = iter(Loader(make(), 5, prefetch=2))
    next(stream)
    with pytest.raises(KeyboardInterrupt):
        stream.throw(KeyboardInterrupt())
    assert not loader_threads()


def test_prefetch_hands_on_the_error_of_a_transform():
    class Broken:
        def __call__(self, images, keys):
            raise DataError("broken")

    with pytest.raises(DataError, match="broken"):
        list(Loader(make(), 5, prefetch=2, transforms=(Broken(),)))
    assert not loader_threads()


def test_an_image_is_changed_the_same_way_in_any_batch():
    data = make()
    by_image = []
    for size in (1, 7, 50):
        loader = Loader(data, size, transforms=AUGMENT, seed=4)
        by_image.append(np.concatenate([x for x, _ in loader]))
    assert np.array_equal(by_image[0], by_image[1])
    assert np.array_equal(by_image[0], by_image[2])
    loader = Loader(data, 50, transforms=AUGMENT, seed=4)
    assert not np.array_equal(loader.batch(0, 0)[0], loader.batch(1, 0)[0])


def test_flip_mirrors_about_half_of_the_images():
    images = np.random.default_rng(1).integers(0, 256, (2000, 2, 3, 1), np.uint8)
    keys = sample_keys(0, 0, 0, np.arange(2000))
    before = images.copy()
    got = RandomFlip()(images, keys)
    assert np.array_equal(images, before)
    mirrored = images[:, :, ::-1]
    flipped = (got == mirrored).all(axis=(1, 2, 3)) & (got != images).any(axis=(1, 2, 3))
    kept = (got == images).all(axis=(1, 2, 3))
    assert (flipped | kept).all()
    assert abs(flipped.mean() - 0.5) < 0.06  # more than 5 standard deviations
    assert np.array_equal(RandomFlip(0.0)(images, keys), images)
    assert np.array_equal(RandomFlip(1.0)(images, keys), mirrored)


def test_crop_moves_the_image_over_zeros():
    images = np.full((500, 4, 5, 2), 9, np.uint8)
    keys = sample_keys(0, 0, 0, np.arange(500))
    got = RandomCrop(1)(images, keys)
    moves = set()
    for image in got:
        rows, cols = image[..., 0].any(axis=1), image[..., 0].any(axis=0)
        moves.add((tuple(rows), tuple(cols)))
        assert set(np.unique(image)) <= {0, 9}
        assert rows.sum() >= 3
        assert cols.sum() >= 4
    assert len(moves) == 9
    assert np.array_equal(RandomCrop(0)(images, keys), images)


def test_resize_in_the_loader():
    (x, _), *_ = Loader(make(), 10, transforms=(Resize((9, 8)),))
    assert x.shape == (10, 9, 8, 3)


def test_targets_pass_through():
    targets = np.arange(6, dtype=np.float32).reshape(3, 2)
    data = Dataset(np.zeros((3, 2, 2, 1), np.float32), targets)
    (_, y), *_ = Loader(data, 3)
    assert y.dtype == np.float32
    assert np.array_equal(y, targets)


@pytest.mark.parametrize("k", [1, 2, 4])
@pytest.mark.parametrize("drop_last", [True, False])
def test_batches_hold_at_most_k_classes(k, drop_last):
    data = make(203, classes=10)
    loader = Loader(data, 8, sampler=ClassLimitedSampler(k), drop_last=drop_last, seed=2)
    seen, exact = [], 0
    for epoch in range(2):
        plan = loader.batches(epoch)
        seen.append([i for b in plan for i in b.tolist()])
        for batch in plan:
            held = len(set(data.labels[batch].tolist()))
            assert held <= k
            exact += held == k
            assert len(batch) == 8 or (len(batch) < 8 and not drop_last)
        assert len(set(seen[-1])) == len(seen[-1])
        if not drop_last:
            assert sorted(seen[-1]) == list(range(203))
    assert seen[0] != seen[1]
    assert exact >= 0.8 * sum(len(loader.batches(e)) for e in range(2))
    assert len(loader.batches(0)) == len(loader.batches(1))


def test_class_limited_with_fewer_classes_than_k():
    loader = Loader(make(20, classes=2), 8, sampler=ClassLimitedSampler(4))
    assert sorted(i for b in loader.batches(0) for i in b.tolist()) == list(range(20))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda d: Loader(d, 0), "batch_size must be an integer >= 1, got 0"),
        (lambda d: Loader(d, 2.0), "batch_size must be an integer >= 1, got 2.0"),
        (lambda d: Loader(d, 51, drop_last=True), "batch_size must leave a full mini-batch"),
        (lambda d: Loader(d, 5, seed=-1), "seed must be an integer"),
        (lambda d: Loader(d, 5, prefetch=-1), "prefetch must be an integer >= 0"),
        (lambda d: Loader(d, 5, standardize=Standardize.unit(1)), "must have 3 channels"),
        (lambda d: Loader(d, 5).batch(0, 10), r"step must lie in \[0, 10\), got 10"),
        (lambda d: Loader(d, 5, sampler=ClassLimitedSampler(2)), "must divide the batch size 5"),
        (lambda d: ClassLimitedSampler(0), "k must be an integer >= 1"),
        (lambda d: RandomFlip(1.5), r"p must lie in \[0, 1\], got 1.5"),
        (lambda d: RandomCrop(-1), "padding must be an integer >= 0"),
    ],
)
def test_refuses(build, message):
    with pytest.raises(DataError, match=message):
        build(make())


def test_class_limited_refuses_targets():
    data = Dataset(np.zeros((4, 2, 2, 1), np.float32), np.zeros((4, 1), np.float32))
    with pytest.raises(DataError, match="got regression targets"):
        Loader(data, 2, sampler=ClassLimitedSampler(1))
