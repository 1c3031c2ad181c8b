"""DLPack by the letter of the Python array API standard (2023.12 and later), between us and NumPy.

The sentences in quotation marks are the standard's, of `array.__dlpack__` and `from_dlpack`. The
hypothesis cases ask what the DLPack part of the standard's own suite (array-api-tests, test_dlpack.py)
asks; the suite itself needs a whole array namespace, which sentei is not.
"""

from __future__ import annotations

import gc
import sys
import threading
import weakref

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import sentei
from sentei.errors import DTypeError, ShapeError
from sentei.ops import add_forward
from sentei.tensor import Tensor, from_dlpack, from_numpy

DTYPES = ("float32", "float64", "int32", "int64", "uint8")
CPU = (1, 0)

arrays = st.sampled_from(DTYPES).flatmap(
    lambda d: hnp.arrays(d, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=3))
)
copies = st.none() | st.booleans()


class Wrapped:
    """A producer that hands out one given capsule, and says where it is."""

    def __init__(self, capsule, device=CPU) -> None:
        self.capsule, self.device, self.asked = capsule, device, {}

    def __dlpack__(self, **how):
        self.asked = how
        return self.capsule

    def __dlpack_device__(self):
        return self.device


class Old:
    """A producer from before the standard of 2023: no argument but `stream`."""

    def __init__(self, array) -> None:
        self.array = array

    def __dlpack__(self, stream=None):
        return self.array.__dlpack__(stream=stream)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


def same(a, b) -> None:
    assert (a.shape, str(a.dtype)) == (b.shape, str(b.dtype))
    np.testing.assert_array_equal(np.asarray(a), np.asarray(b))


def memory(t) -> int:
    return np.asarray(t).ctypes.data


# -- what the standard's suite asks ----------------------------------------------------------------
@given(st.sampled_from(DTYPES))
def test_dlpack_device(dtype):
    kind, number = Tensor.zeros((3,), dtype).__dlpack_device__()
    assert (kind, number) == CPU and isinstance(number, int)


@given(arrays, copies, st.none() | st.tuples(st.integers(0, 2), st.integers(0, 9)), st.booleans())
def test_dunder_dlpack(a, copy, max_version, says_where):
    """Every combination of arguments gives a capsule; "dl_device ... (1, 0)" is always possible."""
    how = {"dl_device": CPU} if says_where else {}
    capsule = from_numpy(a).__dlpack__(copy=copy, max_version=max_version, **how)
    versioned = max_version is not None and max_version[0] >= 1
    assert ("dltensor_versioned" in repr(capsule)) == versioned
    got = from_dlpack(Wrapped(capsule))
    same(got, a)


@given(arrays, copies, st.sampled_from([None, "cpu"]))
def test_from_dlpack(a, copy, device):
    for producer in (a, from_numpy(a), Old(from_numpy(a))):
        got = from_dlpack(producer, device=device, copy=copy)
        assert got.device == "cpu"
        same(got, a)


@given(arrays, copies)
def test_to_numpy(a, copy):
    t = from_numpy(a)
    got = np.from_dlpack(t, copy=copy, device="cpu")
    same(got, a)
    if a.size:
        assert np.shares_memory(got, np.asarray(t)) == (copy is not True)


# -- copy ------------------------------------------------------------------------------------------
def test_copy_true_always_copies_and_false_never():
    """ "If True, the function must always copy. If False, the function must never copy." """
    a = np.arange(4, dtype=np.float32)
    for producer in (a, Tensor.borrow(a), Old(a)):
        assert memory(from_dlpack(producer, copy=True)) != memory(a)
        assert memory(from_dlpack(producer, copy=np.False_)) == memory(a)
        assert memory(from_dlpack(producer)) == memory(a)
    arena = Tensor.empty((64,), "uint8", arena=True).view((4,), 0, "float32")
    with pytest.raises(BufferError, match="copy must not be False: the memory belongs to a plan"):
        from_dlpack(arena, copy=False)


def test_copy_false_is_asked_of_the_producer():
    p = Wrapped(Tensor.zeros((2,)).__dlpack__())
    from_dlpack(p, copy=False)
    assert p.asked == {"max_version": (1, 0), "copy": False}


@pytest.mark.parametrize("wrong", ["yes", 3.5, (1,)])
def test_arguments_of_another_kind(wrong):
    t = Tensor.zeros((2,))
    with pytest.raises(TypeError, match=r"__dlpack__: copy must be True, False or None, got "):
        t.__dlpack__(copy=wrong)
    with pytest.raises(TypeError, match="from_dlpack: copy must be True, False or None, got "):
        from_dlpack(t, copy=wrong)
    with pytest.raises(TypeError, match=r"max_version must be \(major, minor\) or None, got "):
        t.__dlpack__(max_version=wrong)
    with pytest.raises(TypeError, match=r"dl_device must be \(device type, number\) or None, got "):
        t.__dlpack__(dl_device=wrong)


# -- devices and streams ---------------------------------------------------------------------------
def test_streams_on_the_cpu():
    """ "On CPU and other device types without streams, only None is accepted." """
    for stream in (-1, 0, 1, "1"):
        with pytest.raises(ValueError, match="stream must be None for memory on cpu"):
            Tensor.zeros((2,)).__dlpack__(stream=stream)


def test_devices_that_cannot_be_reached():
    """ "If the device type cannot be handled by the producer, this function must raise BufferError." """
    for device in ((2, 0), (1, 1), (8, 0)):
        with pytest.raises(BufferError, match=r"dl_device must be \(1, 0\)"):
            Tensor.zeros((2,)).__dlpack__(dl_device=device)
    with pytest.raises(
        ValueError, match="copy must not be False: x is on another device than cuda"
    ):
        from_dlpack(Tensor.zeros((2,)), device="cuda", copy=False)
    with pytest.raises(ValueError, match="device must be"):
        from_dlpack(Tensor.zeros((2,)), device="tpu")


def test_a_device_that_only_its_own_library_can_read():
    """A producer elsewhere (Metal here) is asked for memory of the CPU, without a stream."""
    t = from_numpy(np.arange(3, dtype=np.float32))
    p = Wrapped(t.__dlpack__(max_version=(1, 0), copy=True), device=(8, 0))
    assert from_dlpack(p, device="cpu").numpy().tolist() == [0, 1, 2]
    assert p.asked == {"dl_device": CPU, "max_version": (1, 0)}
    with pytest.raises(ValueError, match="copy must not be False: x is on another device than cpu"):
        from_dlpack(p, device="cpu", copy=False)


# -- versions, read-only memory --------------------------------------------------------------------
def test_read_only_memory_stays_so():
    a = np.arange(3, dtype=np.float32)
    a.flags.writeable = False
    t = from_dlpack(a)
    assert memory(t) == memory(a) and not np.asarray(t).flags.writeable
    assert np.asarray(add_forward(t, t)).tolist() == [0, 2, 4]
    with pytest.raises(ValueError, match="must be writable"):
        t.copy_from(np.zeros(3, np.float32))
    back = np.from_dlpack(t)
    assert memory(back) == memory(a) and not back.flags.writeable
    own = from_dlpack(a, copy=True)
    own.copy_from(np.zeros(3, np.float32))
    assert a.tolist() == [0, 1, 2]
    with pytest.raises(BufferError, match="must be writable for a consumer from before"):
        t.__dlpack__(max_version=(0, 8))
    assert "dltensor" in repr(t.__dlpack__(copy=True)), "a copy may be written"


def test_capsules_of_a_version_that_nobody_knows():
    import ctypes

    capsule = Tensor.zeros((2,)).__dlpack__(max_version=(1, 0))
    get = ctypes.pythonapi.PyCapsule_GetPointer
    get.restype, get.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_char_p)
    major = ctypes.c_uint32.from_address(get(capsule, b"dltensor_versioned"))
    major.value = 2
    with pytest.raises(BufferError, match=r"must speak DLPack 1.x, got version 2"):
        from_dlpack(Wrapped(capsule))
    major.value = 1
    same(from_dlpack(Wrapped(capsule)), np.zeros(2, np.float32))  # refused is not taken


# -- what is refused -------------------------------------------------------------------------------
def test_refusals():
    with pytest.raises(ValueError, match="from_dlpack: x must be contiguous and row-major"):
        from_dlpack(np.zeros((4, 4), np.float32)[:, ::2])
    with pytest.raises(ShapeError, match="from_dlpack: x must have at most 4 axes, got 5"):
        from_dlpack(np.zeros((1,) * 5, np.float32))
    for dtype, name in (
        ("float16", "float16"),
        ("bool", "bool"),
        ("complex64", "complex64"),
        ("uint16", "uint16"),
        ("int8", "int8"),
    ):
        with pytest.raises(DTypeError, match=f"must be float32, .* or uint8, got {name}$"):
            from_dlpack(np.zeros(3, dtype))
    for x in ([1, 2], Tensor.zeros((2,)).__dlpack__(), None):
        with pytest.raises(AttributeError, match="from_dlpack: x must have __dlpack__, got "):
            from_dlpack(x)
    no_device = type("NoDevice", (), {"__dlpack__": lambda self, **_: None})()
    with pytest.raises(AttributeError, match="must have __dlpack_device__"):
        from_dlpack(no_device)


def test_errors_of_the_producer_are_passed_on():
    class Refuses(Wrapped):
        def __dlpack__(self, **how):
            raise BufferError("sparse")

    with pytest.raises(BufferError, match=r"^sparse$"):
        from_dlpack(Refuses(None))


def test_a_capsule_is_consumed_once():
    for version in (None, (1, 0)):
        p = Wrapped(Tensor.zeros((2,)).__dlpack__(max_version=version))
        from_dlpack(p)
        assert "used_dltensor" in repr(p.capsule)
        with pytest.raises(ValueError, match="must give a capsule that nobody took, got <capsule"):
            from_dlpack(p)
    with pytest.raises(ValueError, match="must give a capsule that nobody took, got 3"):
        from_dlpack(Wrapped(3))


# -- lifetimes -------------------------------------------------------------------------------------
class Array(np.ndarray):
    """An array that can say when it is gone (weak references are taken of views' bases)."""


def watched() -> tuple[np.ndarray, weakref.ref]:
    a = np.zeros(5, np.float32).view(Array)
    return a, weakref.ref(a)


@pytest.mark.parametrize("version", [None, (1, 0)])
def test_a_capsule_never_consumed_frees(version):
    a, gone = watched()
    capsule = Tensor.borrow(a).__dlpack__(max_version=version)
    del a
    gc.collect()
    assert gone() is not None
    del capsule
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize("version", [None, (1, 0)])
def test_a_capsule_that_is_refused_frees(version):
    a = np.zeros((1, 1, 1, 1, 1), np.float32).view(Array)
    gone = weakref.ref(a)
    capsule = a.__dlpack__(max_version=version)
    with pytest.raises(ShapeError):
        from_dlpack(Wrapped(capsule))
    del a, capsule
    gc.collect()
    assert gone() is None


def test_memory_lives_as_long_as_its_last_user():
    a, gone = watched()
    t = from_dlpack(a)
    back = np.from_dlpack(t)
    view = t.view((2,), 4)
    del a, t
    gc.collect()
    back[2] = 7
    assert np.asarray(view).tolist() == [0, 7]
    del back
    gc.collect()
    assert gone() is not None
    del view
    gc.collect()
    assert gone() is None


def test_a_cycle_through_both_libraries_is_collected():
    class Holder:
        tensor = None

    a, gone = watched()
    a.holder = Holder()
    a.holder.tensor = Tensor.zeros((2,))
    a.holder.self = a.holder
    del a
    gc.collect()
    assert gone() is None


@settings(max_examples=5, deadline=None)
@given(st.integers(2, 6))
def test_many_threads_exchange_and_collect(count):
    """Capsules made, taken, dropped and freed by threads at once; nothing is lost or freed twice."""
    shared = from_numpy(np.arange(64, dtype=np.float32))
    before = sys.getrefcount(shared)
    failed: list[BaseException] = []
    start = threading.Barrier(count)

    def work() -> None:
        try:
            start.wait()
            for k in range(100):
                got = from_dlpack(np.from_dlpack(from_dlpack(shared)), copy=k % 3 == 0 or None)
                shared.__dlpack__(max_version=(1, 0) if k % 2 else None)
                if k % 25 == 0:
                    gc.collect()
                if float(np.asarray(got).sum()) != 2016:
                    raise AssertionError("wrong bytes")
        except BaseException as e:
            failed.append(e)

    threads = [threading.Thread(target=work) for _ in range(count)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert failed == []
    assert sys.getrefcount(shared) == before
    assert sentei.from_dlpack(shared).numpy().sum() == 2016


def test_one_capsule_and_many_takers():
    """Of threads that take one capsule exactly one gets it."""
    a, gone = watched()
    p = Wrapped(a.__dlpack__(max_version=(1, 0)))
    del a
    got, refused = [], []
    start = threading.Barrier(8)

    def take() -> None:
        start.wait()
        try:
            got.append(from_dlpack(p))
        except ValueError as e:
            refused.append(str(e))

    threads = [threading.Thread(target=take) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(got) == 1 and len(refused) == 7
    got.clear()
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize("device", [(7, "x"), None, 1])
def test_a_device_that_is_none(device):
    array = np.ones((2, 3), np.float32)
    with pytest.raises(TypeError, match=r"__dlpack_device__ must give \(device type, number\)"):
        from_dlpack(Wrapped(array.__dlpack__(), device))


def test_memory_elsewhere_than_announced():
    array = np.ones((2, 3), np.float32)
    with pytest.raises(BufferError, match="must give memory on the device that it names"):
        from_dlpack(Wrapped(array.__dlpack__(), (2, 0)))
