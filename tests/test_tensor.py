"""Tensor: NumPy and DLPack both ways, views, refusals."""

from __future__ import annotations

import gc

import numpy as np
import pytest

from sentei import _core
from sentei.device import cuda_state
from sentei.errors import DeviceError, DTypeError, ShapeError
from sentei.ops import add_forward, sgd_update
from sentei.tensor import Tensor, as_tensor, from_dlpack, from_nchw, from_numpy, to_nchw

DTYPES = ["float32", "float64", "int32", "int64", "uint8"]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3), (2, 3, 4, 5)])
def test_numpy_round_trip(dtype, shape):
    a = np.arange(np.prod(shape, dtype=int), dtype=dtype).reshape(shape)
    t = from_numpy(a)
    assert t.shape == shape and t.dtype == dtype and t.device == "cpu"
    assert t.nbytes == a.nbytes and t.size == a.size and t.ndim == a.ndim
    np.testing.assert_array_equal(t.numpy(), a)
    np.testing.assert_array_equal(np.asarray(t), a)


def test_from_numpy_copies_and_borrow_shares():
    a = np.zeros(4, np.float32)
    copied, borrowed = from_numpy(a), Tensor.borrow(a)
    a[0] = 7
    assert copied.numpy()[0] == 0 and borrowed.numpy()[0] == 7


def test_asarray_shares_memory_and_keeps_it_alive():
    t = Tensor.zeros((5,))
    view = np.asarray(t)
    view[2] = 3
    assert t.numpy()[2] == 3
    del t
    gc.collect()
    assert view[2] == 3
    with pytest.raises(ValueError, match="copy must not be False"):
        from_numpy(np.zeros(2)).__array__(np.float32, copy=False)
    assert np.asarray(from_numpy(np.zeros(2)), dtype=np.float32).dtype == np.float32


@pytest.mark.parametrize("dtype", DTYPES)
def test_dlpack_both_ways(dtype):
    a = np.arange(6, dtype=dtype).reshape(2, 3)
    t = from_dlpack(a)
    np.testing.assert_array_equal(t.numpy(), a)
    a[0, 0] = 9
    assert np.asarray(t)[0, 0] == 9, "shares memory"
    back = np.from_dlpack(from_numpy(a))
    np.testing.assert_array_equal(back, a)
    assert from_numpy(a).__dlpack_device__() == (1, 0)


def test_dlpack_capsules_of_both_kinds():
    t = Tensor.zeros((2,))
    assert "dltensor_versioned" in repr(t.__dlpack__(max_version=(1, 0)))
    assert '"dltensor"' in repr(t.__dlpack__())
    capsule = t.__dlpack__(copy=True)
    del capsule
    gc.collect()


def test_dlpack_refusals():
    with pytest.raises(ValueError, match="contiguous"):
        from_dlpack(np.zeros((3, 4), np.float32).T)
    with pytest.raises(DTypeError, match="must be float32"):
        from_dlpack(np.zeros(3, np.float16))
    with pytest.raises(AttributeError, match="must have __dlpack__"):
        from_dlpack([1, 2])
    with pytest.raises(BufferError, match=r"dl_device must be \(1, 0\)"):
        Tensor.zeros((2,)).__dlpack__(dl_device=(2, 0))
    arena = Tensor.empty((64,), "uint8", arena=True).view((4,), 0, "float32")
    with pytest.raises(BufferError, match="belongs to a plan"):
        arena.__dlpack__(copy=False)
    arena.copy_from(np.ones(4, np.float32))
    out = np.from_dlpack(arena)
    arena.copy_from(np.zeros(4, np.float32))
    assert out.sum() == 4, "memory of a plan leaves by copy"


def frozen(n, dtype=np.float32):
    a = np.arange(n, dtype=dtype)
    a.flags.writeable = False
    return a


def test_read_only_arrays_are_read_and_never_written():
    a = frozen(4)
    t, v = Tensor.borrow(a), Tensor.borrow(a).view((2,), 8)
    np.testing.assert_array_equal(np.asarray(add_forward(a, a)), 2 * a)
    for x in (t, v):
        view = np.asarray(x)
        assert not view.flags.writeable
        with pytest.raises(ValueError, match="the tensor must be writable"):
            x.copy_from(np.zeros(x.shape, np.float32))
        with pytest.raises(ValueError, match="y must be writable, got the memory of a read-only"):
            _core.fill_forward(x, 1.0)
        with pytest.raises(ValueError, match="y must be writable"):
            _core.add_forward(x, x, x)
    with pytest.raises(ValueError, match="counter must be writable"):
        _core.counter_advance(Tensor.borrow(frozen(1, np.int64)), 0)
    g, lr = np.ones(4, np.float32), np.ones(1, np.float32)
    with pytest.raises(ValueError, match="w must be writable"):
        sgd_update(a, g, None, lr)
    with pytest.raises(BufferError, match="must be writable"):
        t.__dlpack__()
    assert not np.from_dlpack(t).flags.writeable
    np.from_dlpack(t, copy=True)[0] = 7
    np.testing.assert_array_equal(a, [0, 1, 2, 3])


def test_copy_from_an_overlapping_view():
    t = from_numpy(np.arange(64, dtype=np.float32))
    t.view((63,), 4).copy_from(np.asarray(t)[:63])
    np.testing.assert_array_equal(t.numpy(), [0, *range(63)])


def test_views_of_memory_that_is_not_aligned():
    t = Tensor.borrow(np.zeros(33, np.uint8)[1:])
    assert t.view((8,), 8).shape == (8,)
    with pytest.raises(ShapeError, match="aligned to 8 bytes for float64"):
        t.view((4,), 0, "float64")


def test_views():
    t = from_numpy(np.arange(8, dtype=np.float32))
    v = t.view((2, 2), 8)
    np.testing.assert_array_equal(v.numpy(), [[2, 3], [4, 5]])
    assert v.overlaps(t) and not v.overlaps(t.view((1,), 0))
    with pytest.raises(ShapeError, match="must lie inside"):
        t.view((9,))
    with pytest.raises(ShapeError, match="multiple of 4 bytes"):
        t.view((1,), 2)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: from_numpy(np.zeros((1,) * 5)), ShapeError, "at most 4 axes, got 5"),
        (
            lambda: from_numpy(np.zeros(2, np.float16)),
            DTypeError,
            "dtype must be float32.*got float16",
        ),
        (lambda: from_numpy(np.zeros(2, ">f4")), DTypeError, "native byte order"),
        (lambda: Tensor.empty((-1,)), ShapeError, "no negative axis"),
        (lambda: Tensor.empty((1 << 40, 1 << 40)), ShapeError, "fit in memory"),
        (lambda: Tensor.empty((2,), "half"), DTypeError, "got half"),
        (lambda: Tensor.borrow(np.zeros((2, 3), np.float32).T), ValueError, "C-contiguous"),
        (
            lambda: as_tensor([1.0], "w"),
            DTypeError,
            "w must be a sentei.Tensor or a NumPy array, got list",
        ),
        (
            lambda: Tensor.zeros((2,)).copy_from(np.zeros(3, np.float32)),
            ShapeError,
            r"must have shape \(2,\)",
        ),
        (
            lambda: Tensor.zeros((2,)).copy_from(np.zeros(2)),
            DTypeError,
            "must be float32, got float64",
        ),
    ],
)
def test_refusals(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_nchw_names():
    a = np.arange(2 * 3 * 4 * 5, dtype=np.float32).reshape(2, 3, 4, 5)
    t = from_nchw(a)
    assert t.shape == (2, 4, 5, 3)
    np.testing.assert_array_equal(to_nchw(t), a)


def test_fresh_memory_is_poisoned_in_tests():
    assert _core.poison()
    assert np.isnan(np.asarray(Tensor.empty((3,)))).all()


def test_philox_known_answers():
    """Vectors of the paper's reference implementation for key and counter 0 and all ones."""
    assert _core.philox(0, 0, 0, 0) == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]
    ones = (1 << 64) - 1
    assert _core.philox(ones, 0xFFFFFFFF, 0xFFFFFFFF, ones) == [
        0x408F276D,
        0x41C83B0E,
        0xA20BC7C6,
        0x6D5451FD,
    ]


def test_a_device_that_is_missing_gives_its_reason():
    state = cuda_state()
    if state.state == "ready":
        assert Tensor.zeros((2,), device="cuda").to("cpu").numpy().tolist() == [0, 0]
        return
    for make in (lambda: Tensor.zeros((2,)).to("cuda"), lambda: Tensor.empty((2,), device="cuda")):
        with pytest.raises(DeviceError, match="device cuda cannot be used: ") as caught:
            make()
        assert state.reason in str(caught.value)
