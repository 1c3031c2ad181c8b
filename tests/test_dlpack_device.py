"""DLPack on cuda: capsules made and taken by hand, streams as the standard has them."""

from __future__ import annotations

import ctypes
import gc

import numpy as np
import pytest

from helpers import array
from sentei import _core
from sentei.errors import DeviceError
from sentei.ops import add_forward
from sentei.tensor import Tensor, from_dlpack, from_numpy

pytestmark = pytest.mark.devices
CPU, CUDA = (1, 0), (2, 0)


class Device(ctypes.Structure):
    _fields_ = (("type", ctypes.c_int32), ("id", ctypes.c_int32))


class DLTensor(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device", Device),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    )


class Versioned(ctypes.Structure):
    _fields_ = (
        ("major", ctypes.c_uint32),
        ("minor", ctypes.c_uint32),
        ("manager", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p),
        ("flags", ctypes.c_uint64),
        ("tensor", DLTensor),
    )


def opened(capsule) -> Versioned:
    get = ctypes.pythonapi.PyCapsule_GetPointer
    get.restype, get.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_char_p)
    found = Versioned.from_address(get(capsule, b"dltensor_versioned"))
    found.capsule = capsule  # whose memory this is
    return found


class Producer:
    """Another library that hands out memory of a Tensor and keeps account of what it was asked."""

    def __init__(self, t: Tensor, device=None, change=None, version: bool = True) -> None:
        self.t, self.device, self.change, self.version = t, device, change, version
        self.asked: list[dict] = []

    def __dlpack_device__(self):
        return self.device or self.t.__dlpack_device__()

    def __dlpack__(self, **how):
        self.asked.append(dict(how))
        if not self.version and how.keys() - {"stream"}:
            raise TypeError(str(how))
        capsule = self.t.__dlpack__(**how)
        if self.change is not None:
            self.change(opened(capsule).tensor)
        return capsule


@pytest.fixture(autouse=True)
def on_a_device(device):
    if device == "cpu":
        pytest.skip("tests/test_tensor.py has the CPU")


def there(values, dtype=np.float32) -> Tensor:
    return from_numpy(np.asarray(values, dtype)).to("cuda")


def test_what_a_capsule_says():
    t = there([[1, 2, 3], [4, 5, 6]], np.int64)
    assert t.__dlpack_device__() == CUDA
    capsule = t.view((1, 3), 24).__dlpack__(max_version=(1, 0))
    m = opened(capsule)
    assert (m.major, m.flags) == (1, 0)
    d = m.tensor
    assert (d.device.type, d.device.id, d.ndim) == (2, 0, 2)
    assert (d.code, d.bits, d.lanes, d.byte_offset) == (0, 64, 1, 0)
    assert d.shape[:2] == [1, 3] and d.strides[:2] == [3, 1]
    assert opened(t.__dlpack__(max_version=(1, 0))).tensor.data + 24 == d.data
    assert '"dltensor"' in repr(t.__dlpack__())


def orders() -> list[tuple[int, bool]]:
    """Streams put in order since the last call; only the emulator keeps account."""
    if _core.installed_backend() != "cusim":
        pytest.skip("only the emulator keeps account of streams")
    from sentei import _cusim

    return _cusim.orders()


@pytest.mark.parametrize(("stream", "want"), [(None, 1), (-1, None), (1, 1), (2, 2)])
def test_the_consumer_waits_for_us(stream, want):
    t = there([1])
    orders()
    assert "dltensor" in repr(t.__dlpack__(stream=stream))
    assert orders() == ([] if want is None else [(want, True)])


def test_we_wait_for_the_producer_and_its_memory_for_us():
    t = there([1])
    orders()
    got = from_dlpack(Producer(t))
    assert orders() == [(1, True), (1, False)]  # the capsule's, being ours, and what we ask
    del got
    gc.collect()
    assert orders() == [(1, True)]


@pytest.mark.parametrize("stream", [0, -2, "1", 1.5])
def test_streams_that_are_none(stream):
    with pytest.raises(ValueError, match="stream must be"):
        there([1]).__dlpack__(stream=stream)


@pytest.mark.parametrize("version", [True, False])
def test_memory_is_shared_and_kept_alive(version):
    t = there([1, 2, 3])
    p = Producer(t, version=version)
    got = from_dlpack(p)
    assert got.device == "cuda" and got.shape == (3,)
    assert p.asked[-1]["stream"] == 1, "the legacy default stream carries the order"
    t.copy_from(np.array([4, 5, 6], np.float32))
    assert got.numpy().tolist() == [4, 5, 6]
    assert got.overlaps(t)
    del p, t
    gc.collect()
    assert array(add_forward(got, got)).tolist() == [8, 10, 12]


def test_copies():
    t = there([1, 2])
    copied = from_dlpack(Producer(t, change=None)).__dlpack__(copy=True, max_version=(1, 0))
    m = opened(copied)
    assert m.flags == 2 and m.tensor.device.type == 2
    assert m.tensor.data != opened(t.__dlpack__(max_version=(1, 0))).tensor.data
    arena = Tensor.empty((64,), "uint8", arena=True, device="cuda").view((2,), 0, "float32")
    assert opened(arena.__dlpack__(max_version=(1, 0))).flags == 2
    with pytest.raises(BufferError, match="belongs to a plan"):
        arena.__dlpack__(copy=False)


def test_to_the_cpu_when_asked():
    t = there([1, 2, 3])
    m = opened(t.__dlpack__(dl_device=CPU, max_version=(1, 0)))
    assert (m.tensor.device.type, m.flags) == (1, 2)
    assert np.from_dlpack(t, device="cpu").tolist() == [1, 2, 3]
    with pytest.raises(BufferError, match="copy must not be False"):
        t.__dlpack__(dl_device=CPU, copy=False)
    for wrong in ((2, 1), (4, 0)):
        with pytest.raises(BufferError, match=r"dl_device must be \(2, 0\)"):
            t.__dlpack__(dl_device=wrong)


def test_to_another_device_by_name():
    t = there([1, 2, 3])
    p = Producer(t)
    got = from_dlpack(p, device="cpu")
    assert got.device == "cpu" and got.numpy().tolist() == [1, 2, 3]
    assert p.asked == [{"dl_device": CPU, "max_version": (1, 0)}], "no stream on the CPU"
    with pytest.raises(ValueError, match="stream must be None for memory on cpu"):
        t.__dlpack__(dl_device=CPU, stream=1)
    up = from_dlpack(np.arange(3, dtype=np.float32), device="cuda")
    assert up.device == "cuda" and up.numpy().tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match="copy must not be False: x is on another device"):
        from_dlpack(t, device="cpu", copy=False)
    same, own = from_dlpack(Producer(t), device="cuda"), from_dlpack(Producer(t), copy=True)
    t.copy_from(np.zeros(3, np.float32))
    assert same.overlaps(t) and not own.overlaps(t) and own.numpy().tolist() == [1, 2, 3]
    assert from_dlpack(Producer(t, version=False), copy=True).numpy().tolist() == [0, 0, 0]


def test_as_cupy_asks_and_answers():
    """What cupy.from_dlpack passes (the current stream, 1 for the null stream, and max_version first),
    and a producer of CuPy's kind: always writable, memory of the CPU only when asked by dl_device."""
    t = there([1, 2])
    for stream in (1, 2, -1):
        m = opened(t.__dlpack__(stream=stream, max_version=(1, 0), dl_device=None, copy=None))
        assert (m.major, m.flags, m.tensor.device.type) == (1, 0, 2)
    p = Producer(t)
    from_dlpack(p)
    assert p.asked == [{"stream": 1, "max_version": (1, 0)}], "0 would be ambiguous, None is slow"
    from_dlpack(p, copy=False)
    assert p.asked[-1] == {"stream": 1, "max_version": (1, 0), "copy": False}


def test_memory_that_is_refused():
    def kind(d):
        d.device.type = 4

    def number(d):
        d.device.id = 1

    with pytest.raises(DeviceError, match=r"on cpu or cuda .* got device 4"):
        from_dlpack(Producer(there([1]), change=kind))
    with pytest.raises(DeviceError, match="on the first device, got number 1"):
        from_dlpack(Producer(there([1]), change=number))


def test_refused_without_a_backend():
    p = Producer(there([1]))
    capsule_of = p.t.__dlpack__(max_version=(1, 0))
    p.__class__ = type("Given", (Producer,), {"__dlpack__": lambda self, **how: capsule_of})
    name = _core.installed_backend()
    from devices import backend

    _core.install_backend(None)
    try:
        with pytest.raises(DeviceError, match=r'require\("cuda"\) must be called first'):
            from_dlpack(p)
    finally:
        _core.install_backend(backend(name))
