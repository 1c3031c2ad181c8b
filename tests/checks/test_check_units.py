"""What excites a unit: the largest values, and exactly the pixels that it sees."""

from __future__ import annotations

import builtins

import numpy as np
import pytest
from hypothesis import given, settings

from networks import networks, random_images
from sentei import nn
from sentei.data import Dataset
from sentei.errors import DataError, GraphError
from sentei.passes import infer_specs, inference
from sentei.run import Runner
from sentei.workflow.check import Box, check_units, field_of, write_units
from sentei.workflow.check.picture import pixels_of
from toys import toy_data, toy_net


def seen(model, layer: str, row: int, column: int) -> np.ndarray:
    """Pixels of the image on which the map of a layer depends at one place, by trying each."""
    graph = inference(model.graph)
    value = graph.node(layer).outputs[0]
    h, w, _ = model.input_shape
    x = random_images(model, 1).repeat(h * w + 1, 0)
    for i in range(h * w):
        x[i + 1, i // w, i % w] += 100.0
    r = Runner(graph, model.tensors, len(x), (value,))
    r.run(x=x)
    maps = r.fetch(value)
    got = maps[:, row, column] if maps.ndim == 4 else maps
    return (got[1:] != got[:1]).reshape(h * w, -1).any(1).reshape(h, w)


def bounds(mask: np.ndarray) -> Box:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return Box(int(rows[0]), int(rows[-1]), int(columns[0]), int(columns[-1]))


def test_fields_are_exact():
    a = nn.Input((17, 15, 1))
    x = nn.Conv2d(3, 3, padding=1, dilation=2)(a)
    x = nn.AvgPool2d(3, stride=2)(x)
    left = nn.Conv2d(3, 3, padding=1)(x)
    x = nn.Add()(left, nn.Conv2d(3, 1)(x))
    x = nn.Conv2d(2, (1, 3), stride=2)(x)
    model = nn.build(nn.Linear(4)(nn.Flatten()(x)), seed=2)
    field = field_of(model.graph, model.graph.node("conv4").outputs[0])
    shape = infer_specs(model.graph, 1)[model.graph.node("conv4").outputs[0]].shape
    for row in range(shape[1]):
        for column in range(shape[2]):
            assert field(row, column) == bounds(seen(model, "conv4", row, column))
    assert field_of(model.graph, model.output)(0, 0) == bounds(seen(model, "fc1", 0, 0))


@settings(max_examples=25, deadline=None)
@given(networks())
def test_nothing_outside_is_seen(model):
    graph = inference(model.graph)
    specs = infer_specs(graph, 1)
    for node in graph.nodes:
        shape = specs[node.outputs[0]].shape
        field = field_of(graph, node.outputs[0])
        for row, column in {(0, 0), (shape[1] - 1, shape[2] // 2) if len(shape) == 4 else (0, 0)}:
            mask, box = seen(model, node.name, row, column), field(row, column)
            mask[box.top : box.bottom + 1, box.left : box.right + 1] = False
            assert not mask.any(), node.name


def test_the_largest_values():
    model, data = toy_net(), toy_data(50)
    batches = [data.images[i : i + 20] for i in (0, 20, 40)]
    got = check_units(model, "conv2", batches, 50, keep=4)
    graph = inference(model.graph)
    r = Runner(graph, model.tensors, 50, ("conv2",))
    r.run(x=data.images)
    maps = r.fetch("conv2")
    assert got.images == 50 and got.width == 4 and list(got.found) == [0, 1, 2, 3]
    for unit, found in got.found.items():
        peaks = maps[..., unit].reshape(50, -1).max(1)
        want = np.sort(peaks)[::-1][:4]
        assert np.allclose([f.value for f in found], want, rtol=1e-5, atol=1e-5)
        assert [f.image for f in found] == sorted(range(50), key=lambda i: -peaks[i])[:4]
    one = check_units(model, "fc1", batches, 50, units=[7], keep=2)
    assert list(one.found) == [7] and one.found[7][0].box == Box(0, 5, 0, 5)


def test_pictures(tmp_path):
    raw = np.random.default_rng(0).integers(0, 255, (12, 6, 6, 2)).astype(np.uint8)
    data = Dataset(raw, np.arange(12) % 3, ("<a>", "b", "c"), "some")
    found = check_units(toy_net(), "conv1", [raw.astype(np.float32)], 12, most=3, keep=5)
    page, picture = write_units(found, data, tmp_path / "u.html", "units & more")
    text = page.read_text()
    assert text.count("<rect") == 15 and text.count("data:image/png;base64,") == 15
    assert "&lt;a&gt;" in text and "<a>" not in text and "units &amp; more" in text
    with pytest.importorskip("PIL.Image").open(picture) as image:
        size = image.size
    # 16 times as large; two lines a unit; gaps of 4
    assert size == (4 + 5 * (96 + 4), 4 + 6 * (96 + 4))


def test_pixels():
    a = np.linspace(-2, 2, 12, dtype=np.float32).reshape(2, 2, 3)
    assert pixels_of(a).min() == 0 and pixels_of(a).max() == 255
    assert np.array_equal(pixels_of(np.full((2, 2, 1), 7, np.uint8)), np.full((2, 2, 3), 7))
    assert not pixels_of(np.zeros((2, 2, 1), np.float32)).any()


def test_refuses(monkeypatch, tmp_path):
    model, data = toy_net(), toy_data(5)
    with pytest.raises(GraphError, match=r"layer must be one of .*got 'cnov2'.*'conv2'"):
        check_units(model, "cnov2", [data.images], 5)
    with pytest.raises(GraphError, match=r"units of conv2 must lie in \[0, 4\), got 4"):
        check_units(model, "conv2", [data.images], 5, units=[4])
    with pytest.raises(ValueError, match="images must be at least 1"):
        check_units(model, "conv2", [data.images], 5, keep=0)
    found = check_units(model, "conv2", [data.images], 5)
    real = builtins.__import__

    def without(name, *args, **kw):
        if name.startswith("PIL"):
            raise ImportError(name)
        return real(name, *args, **kw)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(DataError, match=r'pip install "sentei\[images\]"'):
        write_units(found, data, tmp_path / "u.html", "u")
    assert not list(tmp_path.iterdir())
