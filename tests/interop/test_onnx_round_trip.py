"""Out and in again: a network that left as ONNX comes back as the same network."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extras import need
from networks import networks, random_images, shake
from sentei.io import export_onnx, import_onnx
from sentei.nn import models
from sentei.prune import pruning_map

need("onnx")


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("trip") / "net.onnx"


@pytest.mark.parametrize("fold", [True, False])
@pytest.mark.parametrize("name", ["lenet5_prune", "lenet5_disc_1", "resnet18_like", "resnet20"])
def test_networks_by_name(name, fold, path):
    model = models.build(name, classes=5)
    shake(model, 1)
    export_onnx(model, path, fold=fold, check=False)
    back = import_onnx(path)
    images = random_images(model, 3)
    # the same layers with the same numbers: not one bit differs
    assert np.array_equal(back.predict(images), model.predict(images))
    assert back.costs().macs == model.costs().macs
    if not fold:
        ops = [[n.op.name for n in m.graph.nodes if n.op.name != "dropout"] for m in (model, back)]
        assert ops[0] == ops[1]
        # and what could be pruned can be pruned still
        assert len(pruning_map(back.graph).units) == len(pruning_map(model.graph).units)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(networks(), st.booleans())
def test_random_networks(path, model, fold):
    export_onnx(model, path, fold=fold, check=False)
    back = import_onnx(path)
    images = random_images(model, 3)
    want, got = (m.predictor(3, fused=False)(images) for m in (model, back))
    assert np.abs(got - want).max() <= 1e-5 * (np.abs(want).max() or 1.0)
