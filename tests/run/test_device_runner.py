"""Runner on a device: captured once and replayed, inputs sent outside, only device memory used."""

from __future__ import annotations

import gc
import threading

import numpy as np
import pytest

import devices
from helpers import array
from sentei import _core
from sentei.errors import DeviceError, DTypeError, ShapeError
from sentei.graph import BATCH, Graph, Op, Spec
from sentei.model import Model
from sentei.ops import ADD, RECORD_APPEND
from sentei.passes import precision
from sentei.run import Runner
from sentei.run.recorded import Recorded
from sentei.tensor import Tensor


def doubling() -> Graph:
    """y = (x + w) + (x + w)"""
    g = Graph()
    x = g.add_input("x", Spec((BATCH, 3)))
    w = g.add_param("w", Spec((4, 3)))
    a = g.add(ADD, (x, w), name="a")[0]
    g.outputs = g.add(ADD, (a, a), name="y")
    return g


def tensors(device: str) -> dict[str, Tensor]:
    w = np.arange(12, dtype=np.float32).reshape(4, 3)
    return {"w": Tensor.from_numpy(w).to(device)}


@pytest.mark.devices
def test_every_run_has_its_own_inputs(device, rng):
    own = tensors(device)
    r = Runner(doubling(), own, 4)
    assert r.device == device and r.inputs["x"].device == device
    for k in range(4):  # as it is, captured, replayed, replayed
        x = rng.standard_normal((4, 3)).astype(np.float32)
        own["w"].copy_from(np.full((4, 3), k, np.float32))
        r.run(x=x)
        assert np.array_equal(r.fetch("y"), 2 * (x + k))
        assert np.array_equal(r.fetch("x"), x) and r.fetch("w")[0, 0] == k
    r.run(x=Tensor.from_numpy(np.ones((4, 3), np.float32)).to(device))
    assert (r.fetch("y") == 8).all()


def counted(calls: list[str]) -> Op:
    """add, whose host code is counted."""

    def run(inputs, outputs, attrs, scratch):
        calls.append(attrs["word"])
        ADD.run(inputs, outputs, {}, scratch)

    return Op(name="counted_add", inputs=("a", "b"), outputs=("y",), infer=ADD.infer, run=run)


@pytest.mark.devices
def test_host_code_of_a_step_runs_twice_and_never_again(device):
    calls: list[str] = []
    op, g = counted(calls), Graph()
    x = g.add_input("x", Spec((BATCH, 2)))
    g.outputs = g.add(op, (x, x), {"word": "one"})
    r = Runner(g, {}, 3, device=device)
    for k in range(5):
        r.run(x=np.full((3, 2), k, np.float32))
        assert (r.fetch(g.outputs[0]) == 2 * k).all()
    assert len(calls) == (5 if device == "cpu" else 2)


@pytest.mark.devices
def test_no_allocation_upload_or_waiting_inside_a_capture(device):
    if device == "cpu":
        pytest.skip("nothing is captured on cpu")
    wrong = [
        lambda: Tensor.empty((2,), device=device),
        lambda: Tensor.zeros((2,), device=device).copy_from(np.ones(2, np.float32)),
        lambda: Tensor.zeros((2,), device=device).numpy(),
        _core.synchronize,
    ]
    for call in wrong:
        recorded = Recorded([call], device)
        recorded()
        with pytest.raises(DeviceError, match="captur"):
            recorded()
        assert gc.isenabled()
        r = Runner(doubling(), tensors(device), 4)  # the failed capture is over
        for _ in range(2):
            r.run(x=np.zeros((4, 3), np.float32))
        assert r.fetch("y")[0, 1] == 2


@pytest.mark.devices
def test_memory_may_go_inside_a_capture(device):
    if device == "cpu":
        pytest.skip("nothing is captured on cpu")
    a = Tensor.from_numpy(np.ones(5, np.float32)).to(device)
    unrelated = [Tensor.zeros((5,), device=device)]
    capture = _core.Capture()
    _core.add_forward(a, a, a)
    unrelated.clear()  # the last reference
    _core.add_forward(a, a, a)
    capture.end()
    capture.replay()
    assert (a.numpy() == 4).all()


@pytest.mark.devices
def test_a_capture_records_its_own_thread_only(device):
    if device == "cpu":
        pytest.skip("nothing is captured on cpu")
    a, b = (Tensor.from_numpy(np.ones(5, np.float32)).to(device) for _ in range(2))
    found: list[float] = []

    def elsewhere() -> None:
        c = Tensor.zeros((5,), device=device)
        c.copy_from(np.ones(5, np.float32))
        _core.add_forward(c, b, b)
        found.append(float(b.numpy()[0]))

    capture = _core.Capture()
    _core.add_forward(a, a, a)
    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    capture.end()
    capture.replay()
    capture.replay()
    assert found == [2.0]
    assert (b.numpy() == 2).all() and (a.numpy() == 4).all()


@pytest.mark.devices
def test_vectors_travel_together(device):
    g = Graph()
    total = g.add_input("total", Spec((1,)))
    loss = g.add_input("loss", Spec((1,)))
    correct = g.add_input("correct", Spec((1,), "int64"))
    log, at = g.add_state("log", Spec((4, 3), "float64")), g.add_state("at", Spec((1,), "int64"))
    g.add(RECORD_APPEND, (total, loss, correct, log, at))
    own = {
        "log": Tensor.zeros((4, 3), "float64", device=device),
        "at": Tensor.zeros((1,), "int64", device=device),
    }
    r = Runner(g, own, 1)
    for k in range(3):
        one = np.full(1, k, np.float32)
        r.run(total=one, loss=2 * one, correct=np.array([3 * k], np.int64))
    assert own["log"].numpy()[:3].tolist() == [[0, 0, 0], [1, 2, 3], [2, 4, 6]]
    assert int(own["at"].numpy()[0]) == 3
    r.set("loss", np.array([9], np.float32))
    assert r.fetch("loss")[0] == 9, "what waits is sent before it is read"
    with pytest.raises(DTypeError, match=r"must be .*float32.*, got .*float64"):
        r.set("loss", np.zeros(1))
    with pytest.raises(ShapeError, match=r"shape \(1,?\), got \(2,?\)"):
        r.set("loss", np.zeros(2, np.float32))


@pytest.mark.devices
def test_tensors_elsewhere_are_refused(device):
    if device == "cpu":
        pytest.skip("there is only one device")
    with pytest.raises(DeviceError, match="w must be on cuda, got cpu"):
        Runner(doubling(), tensors("cpu"), 4, device="cuda")
    with pytest.raises(DeviceError, match="w must be on cpu, got cuda"):
        Runner(doubling(), tensors("cuda"), 4, device="cpu")


@pytest.mark.devices
def test_model_goes_there_and_back(device):
    g = doubling()
    model = Model(g, tensors("cpu"), {"a": 1})
    there = model.to(device)
    assert there.device == device and there.to(device) is there and there.meta == {"a": 1}
    assert (there is model) == (device == "cpu")
    assert there.copy().device == device
    there.load_arrays({"w": np.full((4, 3), 5, np.float32)})
    if device != "cpu":
        assert model.tensors["w"].numpy()[0, 1] == 1
    back = there.to("cpu")
    assert back.device == "cpu" and (back.arrays()["w"] == 5).all()
    p = there.predictor(4)
    images = np.arange(48 * 65, dtype=np.float32).reshape(-1, 3)
    got = p(images)  # more than wait on the device at a time
    assert np.array_equal(got, 2 * (images + 5))
    assert p(images[:0]).shape == (0, 3)
    assert array(p.runner(4).value("y")).shape == (4, 3)


def test_auto_is_cpu_where_there_is_no_cuda():
    model = Model(doubling(), tensors("cpu"))
    if _core.installed_backend() is None and not devices.ready():
        assert model.to("auto") is model
    with pytest.raises(ValueError, match="device must be auto, cpu or cuda"):
        model.to("gpu")


def test_precision_is_an_attribute_of_products():
    from toys import toy_net

    graph = toy_net().graph
    assert precision(graph, "float32") is graph
    with pytest.raises(ValueError, match=r"must be .* on cpu, got tf32"):
        precision(graph, "tf32", "cpu")
    with pytest.raises(ValueError, match=r"must be float32, .* on cuda, got half"):
        precision(graph, "half")
    rounded = precision(graph, "bfloat16")
    found = {n.op.name for n in rounded.nodes if n.attrs.get("precision") == "bfloat16"}
    assert found == {"conv2d", "linear"}
    assert not any("precision" in n.attrs for n in graph.nodes)
    exact = precision(rounded, "float32")
    assert {n.attrs.get("precision", "float32") for n in exact.nodes} == {"float32"}
