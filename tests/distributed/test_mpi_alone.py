"""What of MPI needs no MPI: a world of one, checks, cutting gradients into messages."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import sentei.distributed as sd
from sentei.distributed import mpi as module
from sentei.distributed.exchange import buckets
from sentei.distributed.launch import main
from sentei.distributed.mpi import Comm, launched_rank
from sentei.errors import DeviceError, DTypeError, GraphError, ShapeError
from sentei.optim import LBFGS, SGD
from sentei.regularizers import Discriminant
from toys import toy_data, toy_net


def test_importing_loads_no_engine():
    code = "import sys, sentei, sentei.distributed as d; d.comm(); d.DataParallel; d.split\n"
    code += "assert not {'mpi4py', 'ray'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_world_of_one():
    world = Comm()
    a = np.arange(6, dtype=np.float32).reshape(3, 2)
    before = a.copy()
    world.sum(a)
    world.wait(world.start_sum(a))
    world.broadcast(a)
    np.testing.assert_array_equal(a, before)
    np.testing.assert_array_equal(world.rows(a), before)
    assert world.gather("x") == ["x"] and world.any(True) and not world.any(False)
    assert world.traffic.bytes == 0


@pytest.mark.parametrize("call", ["sum", "start_sum", "broadcast", "rows"])
def test_memory_that_mpi_would_misread_is_refused(call):
    f = getattr(Comm(), call)
    with pytest.raises(DTypeError, match=f"{call}: array must be one of float32, .*, got float16"):
        f(np.zeros(3, np.float16))
    with pytest.raises(ShapeError, match=f"{call}: array must be contiguous"):
        f(np.zeros((4, 4), np.float32).T[:, :2])
    with pytest.raises(DTypeError, match="byte order"):
        f(np.zeros(3, ">f4"))


def test_a_missing_extra_is_one_sentence(monkeypatch):
    monkeypatch.setenv("PMI_RANK", "0")
    monkeypatch.setenv("PMI_SIZE", "2")
    assert launched_rank() == (0, 2)
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    with pytest.raises(DeviceError, match=r'pip install "sentei\[mpi\]"'):
        module.comm.__wrapped__()


def test_gradients_travel_in_messages_of_a_megabyte():
    mega = 1 << 20
    sizes = [("a", 100), ("b", mega - 100), ("c", 1), ("big", mega + 1), ("d", 5), ("e", mega)]
    assert buckets(sizes) == [["a", "b"], ["c"], ["big"], ["d"], ["e"]]


class Two(sd.DataParallel):
    """Rank 0 of two that are never asked for anything."""

    def __init__(self) -> None:
        super().__init__(Comm(0, 2))


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"batch": 1}, "batch must be at least the number of ranks, 2, got 1"),
        ({"optimizer": LBFGS()}, "optimizer must make one exchange a step, got LBFGS"),
        ({"regularizers": [Discriminant(0.1)]}, "must be means over samples, .*got Discriminant"),
        ({"scores": ["conv2d"]}, "scores must be left out"),
    ],
)
def test_refuses(more, text):
    from sentei.train import Trainer

    given = {"optimizer": SGD(0.1), "batch": 12, **more}
    with pytest.raises(ValueError, match=text):
        Trainer(toy_net(), world=Two(), **given)


def test_each_rank_gets_its_rows_of_a_mini_batch():
    """Transforms follow the image: rows of the parts are those of the whole."""
    from sentei.data import Loader, RandomCrop, RandomFlip
    from sentei.train.feed import Feed

    def loader():
        moves = (RandomCrop(2), RandomFlip())
        return Loader(toy_data(50), 12, shuffle=True, seed=4, transforms=moves)

    whole = Feed(loader(), 12, 4)
    for source in (loader, lambda: (toy_data(50).images, toy_data(50).labels)):
        one = Feed(source(), 12, 4) if source is not loader else whole
        parts = []
        for rank in range(5):
            world = Two()
            world.rank, world.size = rank, 5
            parts.append(Feed(source(), 12, 4, world=world))
        assert [p.steps(1) for p in parts] == [one.steps(1)] * 5
        x, y = one.batch(1, 2)
        made = [p.batch(1, 2) for p in parts]
        np.testing.assert_array_equal(np.concatenate([m[0] for m in made]), x)
        np.testing.assert_array_equal(np.concatenate([m[1] for m in made]), y)


def test_split_refuses():
    net = toy_net()
    with pytest.raises(GraphError, match="split: layers must name some of"):
        sd.split(net, ["nothing*"])
    with pytest.raises(GraphError, match="must have a multiple of 2 output channels, got 5"):
        sd.split(net, ["conv1"], Comm(0, 2))
    alone = sd.split(net, ["conv1"])
    assert alone.parts == () and set(alone.join().tensors) == set(net.tensors)


def test_launch_refuses(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["-n", "2", "--", "prune", "x"])
    assert stopped.value.code == 2
    assert "after -- there must be train or resume, got prune" in capsys.readouterr().err
    assert main(["-n", "2", "--mpiexec", "no-such-launcher", "--", "train"]) == 2
    assert 'pip install "sentei[mpi]"' in capsys.readouterr().err
