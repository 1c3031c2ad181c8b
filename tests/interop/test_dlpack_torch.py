"""Memory shared with PyTorch, both ways."""

from __future__ import annotations

import gc
import threading
import weakref

import numpy as np
import pytest

from extras import need
from sentei.errors import DTypeError, ShapeError
from sentei.ops import add_forward
from sentei.tensor import Tensor, from_dlpack, from_numpy

torch = need("torch")

DTYPES = ("float32", "float64", "int32", "int64", "uint8")
SHAPES = ((), (0,), (3,), (2, 0, 3), (2, 3, 4, 5))


class Given:
    def __init__(self, capsule) -> None:
        self.capsule = capsule

    def __dlpack__(self, **how):
        return self.capsule

    def __dlpack_device__(self):
        return (1, 0)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_both_ways_without_copying(dtype, shape):
    x = torch.arange(int(np.prod(shape)), dtype=getattr(torch, dtype)).reshape(shape)
    t = from_dlpack(x)
    assert t.shape == shape and t.dtype == dtype
    np.testing.assert_array_equal(t.numpy(), x.numpy())
    back = torch.from_dlpack(t)
    assert back.shape == x.shape and back.dtype == x.dtype
    if x.numel():
        assert back.data_ptr() == x.data_ptr()
        back += 1
        np.testing.assert_array_equal(t.numpy(), x.numpy())


def test_the_capsules_of_torch_utils_dlpack():
    from torch.utils.dlpack import from_dlpack as taken
    from torch.utils.dlpack import to_dlpack as made

    t = from_numpy(np.arange(3, dtype=np.float32))
    for version in (None, (1, 0)):
        assert taken(t.__dlpack__(max_version=version)).tolist() == [0, 1, 2]
    x = torch.arange(3)
    assert from_dlpack(Given(made(x))).numpy().tolist() == [0, 1, 2]


def test_copies():
    t = from_numpy(np.arange(3, dtype=np.float32))
    shared, own = torch.from_dlpack(t, copy=False), torch.from_dlpack(t, copy=True)
    t.copy_from(np.full(3, 9, np.float32))
    assert shared.tolist() == [9, 9, 9] and own.tolist() == [0, 1, 2]
    x = torch.arange(3)
    mine = from_dlpack(x, copy=True)
    x.zero_()
    assert mine.numpy().tolist() == [0, 1, 2]
    assert torch.from_dlpack(t, device="cpu").data_ptr() == shared.data_ptr()


def test_layouts():
    x = torch.arange(24, dtype=torch.float32).reshape(1, 2, 3, 4)  # NCHW
    nhwc = from_dlpack(x.to(memory_format=torch.channels_last).permute(0, 2, 3, 1))
    assert nhwc.shape == (1, 3, 4, 2), "channels_last is our layout: no copy is needed"
    np.testing.assert_array_equal(nhwc.numpy(), x.numpy().transpose(0, 2, 3, 1))
    assert from_dlpack(x[:, 1:]).shape == (1, 1, 3, 4), "an axis of one may have any stride"
    with pytest.raises(ValueError, match="must be contiguous and row-major"):
        from_dlpack(x.permute(0, 2, 3, 1))
    with pytest.raises(ValueError, match="must be contiguous and row-major"):
        from_dlpack(torch.zeros(3).expand(2, 3))
    with pytest.raises(ShapeError, match="at most 4 axes, got 5"):
        from_dlpack(torch.zeros(1, 1, 1, 1, 1))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "bool", "int16", "complex128"])
def test_other_dtypes_are_refused_by_name(dtype):
    with pytest.raises(DTypeError, match=f"got {dtype}$"):
        from_dlpack(torch.zeros(2, dtype=getattr(torch, dtype)))


def test_tensors_that_torch_does_not_hand_out():
    with pytest.raises(BufferError, match="require gradient"):
        from_dlpack(torch.zeros(2, requires_grad=True))
    assert from_dlpack(torch.nn.Parameter(torch.zeros(2)).detach()).shape == (2,)


def test_our_ops_on_their_memory_and_theirs_on_ours():
    x = torch.randn(4, 5)
    got = torch.from_dlpack(add_forward(from_dlpack(x), from_dlpack(x)))
    assert torch.equal(got, x + x)
    t = Tensor.zeros((2, 2))
    torch.from_dlpack(t).fill_(3)
    assert t.numpy().tolist() == [[3, 3], [3, 3]]


def test_lifetimes_both_ways():
    a = np.zeros(3, np.float32)
    gone = weakref.ref(a)
    x = torch.from_dlpack(Tensor.borrow(a))
    del a
    gc.collect()
    x += 1
    assert gone() is not None and x.tolist() == [1, 1, 1]
    del x
    gc.collect()
    assert gone() is None

    y = torch.ones(3)
    gone = weakref.ref(y.untyped_storage())
    t = from_dlpack(y)
    del y
    gc.collect()
    assert t.numpy().tolist() == [1, 1, 1]


def test_threads_that_share_and_drop():
    t = from_numpy(np.arange(256, dtype=np.float32))
    failed: list[BaseException] = []

    def work() -> None:
        try:
            for k in range(200):
                x = from_dlpack(torch.from_dlpack(t) if k % 2 else torch.ones(256))
                y = torch.from_dlpack(x)
                del x
                if k % 50 == 0:
                    gc.collect()
                if float(y.sum()) != (32640 if k % 2 else 256):
                    raise AssertionError("wrong bytes")
        except BaseException as e:
            failed.append(e)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for w in threads:
        w.start()
    for w in threads:
        w.join()
    assert failed == []


def test_a_backward_pass_keeps_our_memory():
    """Autograd holds a tensor of ours after Python let it go, and frees it from another thread."""
    a = np.ones(3, np.float32)
    gone = weakref.ref(a)
    w = torch.full((3,), 2.0, requires_grad=True)
    loss = (w * torch.from_dlpack(Tensor.borrow(a))).sum()
    del a
    gc.collect()
    assert gone() is not None
    loss.backward()
    assert w.grad.tolist() == [1, 1, 1]
    del loss
    gc.collect()
    assert gone() is None
